//! One field of a JSON object, read without building the other fields.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// The value of the text field.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JsonField {
    /// A string.
    Text(String),
    /// An explicit `null`.
    Null,
    /// A value of another type, by the name of the type.
    Other(&'static str),
    /// No such field; the names of the fields of the object.
    Missing(Vec<String>),
}

/// Reads one field of the object on a line.
pub(super) fn text_field(line: &str, field: &str) -> Result<JsonField, String> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let found = deserializer
        .deserialize_map(FieldVisitor { field })
        // With text after the object, a second object on the line would be lost.
        .and_then(|found| deserializer.end().map(|()| found));
    // The parser sees a single line, so its line number is always 1 and would mislead.
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
                // If the name occurs twice, the last value counts, as in most parsers.
                found = Some(classified(map.next_value()?));
            } else {
                // Records of web crawls have dozens of other fields; this skips them unparsed.
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
        Value::Bool(_) => JsonField::Other("a boolean"),
        Value::Number(_) => JsonField::Other("a number"),
        Value::Array(_) => JsonField::Other("an array"),
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
    fn a_line_that_is_not_one_object_is_an_error() {
        for line in ["[1]", "{", "{} {}", "12", r#"{"text": "a"#] {
            assert!(text_field(line, "text").is_err(), "{line}");
        }
    }
}
