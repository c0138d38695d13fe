//! The first difference between two documents.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

/// A value in a verdict that differs from the recomputed one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is {got}, expected {expected}")]
pub struct Difference {
    /// The place of the value in the document, with dots between the steps.
    pub path: String,
    /// The expected value as JSON, or a description of it.
    pub expected: String,
    /// The value in the document, as JSON.
    pub got: String,
}

impl Difference {
    /// The next step for the user.
    pub fn hint(&self) -> Option<String> {
        Some("report the validators that signed this verdict".into())
    }

    /// A difference at `path`.
    pub(crate) fn new(path: impl Into<String>, expected: impl Display, got: impl Display) -> Self {
        Self { path: path.into(), expected: expected.to_string(), got: got.to_string() }
    }

    /// Compares two documents by their JSON, in the order of the expected one.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn between<T: Serialize>(path: &str, expected: &T, got: &T) -> Result<(), Self> {
        compare(path, &to_value(expected), &to_value(got))
    }
}

fn to_value<T: Serialize>(document: &T) -> Value {
    serde_json::to_value(document).unwrap_or(Value::Null)
}

fn compare(path: &str, expected: &Value, got: &Value) -> Result<(), Difference> {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            for (name, value) in expected {
                compare(&format!("{path}.{name}"), value, got.get(name).unwrap_or(&Value::Null))?;
            }
            // Entries that are only in the second document.
            match got.iter().find(|(name, _)| !expected.contains_key(*name)) {
                Some((name, value)) => {
                    Err(Difference::new(format!("{path}.{name}"), "nothing", value))
                }
                None => Ok(()),
            }
        }
        (Value::Array(expected), Value::Array(got)) => {
            // Up to the longer length: a missing entry differs from every value as `null`.
            for at in 0..expected.len().max(got.len()) {
                let (one, other) = (expected.get(at), got.get(at));
                let path = format!("{path}.{at}");
                compare(&path, one.unwrap_or(&Value::Null), other.unwrap_or(&Value::Null))?;
            }
            Ok(())
        }
        _ if expected == got => Ok(()),
        _ => Err(Difference::new(path, expected, got)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_path_names_the_first_difference() {
        let expected = json!({"a": {"b": [1, 2]}, "c": 0.5});
        let differ = |got: Value| Difference::between("root", &expected, &got).unwrap_err();
        assert_eq!(Difference::between("root", &expected, &expected), Ok(()));
        assert_eq!(
            differ(json!({"a": {"b": [1, 3]}, "c": 0.25})),
            Difference::new("root.a.b.1", 2, 3)
        );
        assert_eq!(
            differ(json!({"a": {"b": [1, 2, 3]}, "c": 0.5})),
            Difference::new("root.a.b.2", "null", 3)
        );
        assert_eq!(differ(json!({"a": {"b": [1, 2]}})), Difference::new("root.c", 0.5, "null"));
        assert_eq!(
            differ(json!({"a": {"b": [1, 2]}, "c": 0.5, "d": 1})),
            Difference::new("root.d", "nothing", 1)
        );
    }
}
