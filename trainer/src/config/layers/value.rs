//! Values as they were written, each with its place.

use std::fmt::Write;

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::origin::Origin;

/// One written value and the place that it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigEntry {
    /// The value, not yet checked against its key.
    pub value: Value,
    /// Where it was said.
    pub origin: Origin,
}

/// A value in the form it was written, before anything is known of its key.
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
    /// `[a, b]`, every item with its own place.
    List(Vec<ConfigEntry>),
    /// `{ a = 1 }`, every field with its own place.
    Record(Vec<(String, ConfigEntry)>),
    /// Something that no key can take.
    Unusable {
        /// What was written.
        shown: String,
        /// What it must be instead.
        rule: &'static str,
    },
}

/// Turns a byte offset of a document into the place that is shown for it.
pub(crate) type Locate<'a> = dyn Fn(usize) -> Origin + 'a;

impl ConfigEntry {
    /// A parsed TOML value that starts at byte `offset` of its document.
    pub(crate) fn from_toml(value: &DeValue<'_>, offset: usize, locate: &Locate<'_>) -> Self {
        Self { value: Value::from_toml(value, locate), origin: locate(offset) }
    }

    /// A value given as loose text on the command line or in a variable: TOML if it reads as such, else text.
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
            DeValue::Datetime(date) => {
                Self::Unusable { shown: date.to_string(), rule: "must not be a date" }
            }
            DeValue::Array(items) => Self::List(list(items, locate)),
            DeValue::Table(fields) => Self::Record(record(fields, locate)),
        }
    }

    /// The value as one line of TOML, for messages.
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
    let entry = |item: &Spanned<DeValue<'_>>| {
        ConfigEntry::from_toml(item.get_ref(), item.span().start, locate)
    };
    items.iter().map(entry).collect()
}

/// The fields in the order they were written, which the table itself forgets.
fn record(fields: &DeTable<'_>, locate: &Locate<'_>) -> Vec<(String, ConfigEntry)> {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| name.span().start);
    let field = |(name, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        (
            name.get_ref().to_string(),
            ConfigEntry::from_toml(value.get_ref(), name.span().start, locate),
        )
    };
    fields.into_iter().map(field).collect()
}

/// The shortest TOML float that reads back to the same bits, with an exponent where zeros would have to be counted.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    match value.is_finite() && size != 0.0 && !(1e-3..1e7).contains(&size) {
        true => format!("{value:e}"),
        false if value.is_nan() => "nan".to_owned(),
        false => format!("{value:?}"),
    }
}

/// A basic TOML string on one line, whatever is in it.
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

/// Parts in brackets as TOML writes lists and inline tables.
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
    fn text_reads_back_whatever_is_in_it() {
        for text in ["plain", "with \"quotes\" and \\", "two\nlines\tand\u{7f}\u{1}", "höhe"] {
            let table: toml::Table =
                toml::from_str(&format!("x = {}", quoted(text))).expect("valid TOML");
            assert_eq!(table["x"].as_str(), Some(text));
        }
    }
}
