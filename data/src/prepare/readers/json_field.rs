//! One field of a JSON object, without building the others.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// What stands under the name of the text field.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JsonField {
    /// The text.
    Text(String),
    /// An explicit `null`.
    Null,
    /// Something else, by the name of its kind.
    Other(&'static str),
    /// Nothing; the names that are there.
    Missing(Vec<String>),
}

/// Takes the text out of an object; crawls carry dozens of other fields that are skipped unparsed.
pub(super) fn text_field(line: &str, field: &str) -> Result<JsonField, String> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let found = deserializer
        .deserialize_map(FieldVisitor { field })
        .and_then(|found| deserializer.end().map(|()| found));
    // The parser sees a single line; its own line number would only mislead.
    found.map_err(|error| error.to_string().replace(" at line 1 column ", " at column "))
}

struct FieldVisitor<'a> {
    field: &'a str,
}

impl<'de> Visitor<'de> for FieldVisitor<'_> {
    type Value = JsonField;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonField, A::Error> {
        let mut found = None;
        let mut present = Vec::new();
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            if name == self.field {
                found = Some(classified(map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
                present.push(name.into_owned());
            }
        }
        Ok(found.unwrap_or(JsonField::Missing(present)))
    }
}

fn classified(value: Value) -> JsonField {
    match value {
        Value::String(text) => JsonField::Text(text),
        Value::Null => JsonField::Null,
        Value::Bool(_) => JsonField::Other("a truth value"),
        Value::Number(_) => JsonField::Other("a number"),
        Value::Array(_) => JsonField::Other("a list"),
        Value::Object(_) => JsonField::Other("an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_found_among_others() {
        let line = r#"{"id": {"a": [1]}, "text": "a \"b\" \u00e9", "n": 1}"#;
        assert_eq!(text_field(line, "text"), Ok(JsonField::Text("a \"b\" é".to_string())));
        assert_eq!(text_field(line, "n"), Ok(JsonField::Other("a number")));
        assert_eq!(
            text_field(line, "x"),
            Ok(JsonField::Missing(vec!["id".into(), "text".into(), "n".into()]))
        );
    }

    #[test]
    fn anything_but_one_object_is_an_error() {
        for line in ["[1]", "{", "{} {}", "12", r#"{"text": "a"#] {
            assert!(text_field(line, "text").is_err(), "{line}");
        }
    }
}
