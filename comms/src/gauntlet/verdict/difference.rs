//! The first place where a document says something else than it should.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

/// A value that does not follow: where it stands, what it should be, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is {got}, but {expected} follows")]
pub struct Difference {
    /// The value's place in the document, steps joined by dots.
    pub path: String,
    /// What follows, as JSON, or what it must be in words.
    pub expected: String,
    /// What stands there, as JSON.
    pub got: String,
}

impl Difference {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        Some("the validator that proposed it has to answer for it; see who else signed".into())
    }

    /// A difference at `path`.
    pub(crate) fn new(path: impl Into<String>, expected: impl Display, got: impl Display) -> Self {
        Self { path: path.into(), expected: expected.to_string(), got: got.to_string() }
    }

    /// Finds the first difference between two documents, in the order of the expected one.
    ///
    /// # Errors
    /// The difference.
    pub(crate) fn between<T: Serialize>(path: &str, expected: &T, got: &T) -> Result<(), Self> {
        let value = |document: &T| serde_json::to_value(document).unwrap_or(Value::Null);
        compare(path, &value(expected), &value(got))
    }
}

fn compare(path: &str, expected: &Value, got: &Value) -> Result<(), Difference> {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            for (name, value) in expected {
                compare(&format!("{path}.{name}"), value, got.get(name).unwrap_or(&Value::Null))?;
            }
            match got.iter().find(|(name, _)| !expected.contains_key(*name)) {
                Some((name, value)) => {
                    Err(Difference::new(format!("{path}.{name}"), "nothing", value))
                }
                None => Ok(()),
            }
        }
        (Value::Array(expected), Value::Array(got)) => {
            for at in 0..expected.len().max(got.len()) {
                let value = |list: &[Value]| list.get(at).cloned().unwrap_or(Value::Null);
                compare(&format!("{path}.{at}"), &value(expected), &value(got))?;
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
    fn the_first_difference_is_named_by_its_path() {
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
