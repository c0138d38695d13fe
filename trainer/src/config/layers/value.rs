//! Values as written, each with its origin.

use std::fmt::Write;

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::origin::Origin;

/// A written value and its origin.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigEntry {
    /// The value, before any check.
    pub value: Value,
    /// The place where it was written.
    pub origin: Origin,
}

/// A value as written, independent of the type of its key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a point or an exponent, `inf` and `nan` included.
    Number(f64),
    /// Text.
    Text(String),
    /// `[a, b]`, every item with its place.
    List(Vec<ConfigEntry>),
    /// `{ a = 1 }`, every field with its place.
    Record(Vec<(String, ConfigEntry)>),
    /// A value that fits no key.
    Unusable {
        /// The value as written.
        shown: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// Turns a byte offset of a document into a place for messages.
pub(crate) type Locate<'a> = dyn Fn(usize) -> Origin + 'a;

impl ConfigEntry {
    /// A parsed TOML value at byte `offset` of its document.
    pub(crate) fn from_toml(value: &DeValue<'_>, offset: usize, locate: &Locate<'_>) -> Self {
        Self { value: Value::from_toml(value, locate), origin: locate(offset) }
    }

    /// A value from the command line or a variable: TOML if it parses, otherwise text.
    pub(crate) fn from_text(text: &str, origin: Origin) -> Self {
        let value = match DeValue::parse(text) {
            Ok(parsed) => Value::from_toml(parsed.get_ref(), &|_| origin.clone()),
            Err(_) => Value::Text(text.to_owned()),
        };
        Self { value, origin }
    }
}

impl Value {
    fn from_toml(value: &DeValue<'_>, locate: &Locate<'_>) -> Self {
        match value {
            DeValue::Boolean(value) => Self::Boolean(*value),
            DeValue::String(text) => Self::Text(text.to_string()),
            // TOML integers can have any length; only a message can tell what went wrong.
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(value) => Self::Integer(value),
                    Err(_) => {
                        Self::Unusable { shown: integer.to_string(), rule: "must fit into 63 bits" }
                    }
                }
            }
            DeValue::Float(float) => match float.as_str().parse() {
                Ok(value) => Self::Number(value),
                Err(_) => Self::Unusable { shown: float.to_string(), rule: "must be a number" },
            },
            // No key holds a date, but an unquoted name such as 2026-01-01 reads as one.
            DeValue::Datetime(date) => {
                Self::Unusable { shown: date.to_string(), rule: "must not be a date" }
            }
            DeValue::Array(items) => Self::List(list(items, locate)),
            DeValue::Table(fields) => Self::Record(record(fields, locate)),
        }
    }

    /// The value as one line of TOML.
    pub fn shown(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Number(value) => number(*value),
            Self::Text(text) => quoted(text),
            Self::List(items) => bracketed('[', ']', items.iter().map(|item| item.value.shown())),
            Self::Record(fields) => bracketed(
                '{',
                '}',
                fields.iter().map(|(name, entry)| format!("{name} = {}", entry.value.shown())),
            ),
            Self::Unusable { shown, .. } => shown.clone(),
        }
    }
}

fn list(items: &DeArray<'_>, locate: &Locate<'_>) -> Vec<ConfigEntry> {
    items
        .iter()
        .map(|item| ConfigEntry::from_toml(item.get_ref(), item.span().start, locate))
        .collect()
}

fn record(fields: &DeTable<'_>, locate: &Locate<'_>) -> Vec<(String, ConfigEntry)> {
    let mut fields: Vec<_> = fields.iter().collect();
    // Messages show fields as the user wrote them; the table sorts them by name.
    fields.sort_by_key(|(name, _)| name.span().start);
    fields.into_iter().map(|(name, value)| field(name, value, locate)).collect()
}

fn field(
    name: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
    locate: &Locate<'_>,
) -> (String, ConfigEntry) {
    // The place of a field is its name: a value can start on a later line.
    let start = name.span().start;
    (name.get_ref().to_string(), ConfigEntry::from_toml(value.get_ref(), start, locate))
}

/// The shortest TOML float that reads back to the same bits.
pub(crate) fn number(value: f64) -> String {
    // Outside this range an exponent is easier to read: 3e-4 instead of 0.0003.
    let is_plain = value == 0.0 || (1e-3..1e7).contains(&value.abs());
    if value.is_nan() {
        // `{:?}` writes NaN, which is not TOML.
        "nan".to_owned()
    } else if is_plain || value.is_infinite() {
        format!("{value:?}")
    } else {
        format!("{value:e}")
    }
}

/// A basic TOML string on one line, with any content escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(control))
                    .expect("writing to a string cannot fail");
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

/// Parts in brackets, as in TOML lists and inline tables.
pub(crate) fn bracketed(open: char, close: char, parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<_> = parts.collect();
    let space = if open == '{' && !parts.is_empty() { " " } else { "" };
    format!("{open}{space}{}{space}{close}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_to_the_same_bits() {
        for value in
            [1e-8, 1.2e-4, 0.95, 0.1, 500_000.0, 1e7, 0.0, -0.0, 1.0, f64::MAX, f64::MIN_POSITIVE]
        {
            let table: toml::Table =
                toml::from_str(&format!("x = {}", number(value))).expect("valid TOML");
            assert_eq!(table["x"].as_float().map(f64::to_bits), Some(value.to_bits()), "{value}");
        }
    }

    #[test]
    fn text_reads_back_with_any_content() {
        for text in ["plain", "with \"quotes\" and \\", "two\nlines\tand\u{7f}\u{1}", "höhe"] {
            let table: toml::Table =
                toml::from_str(&format!("x = {}", quoted(text))).expect("valid TOML");
            assert_eq!(table["x"].as_str(), Some(text));
        }
    }
}
