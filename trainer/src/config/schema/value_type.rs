//! What a key can hold, and the check of a written value against it.

use std::fmt;

use crate::config::checks::{Problem, nearest};
use crate::config::layers::{ConfigEntry, Origin, Value, bracketed, number, quoted};

/// The type of a key together with the values that it allows.
#[derive(Clone, Copy, Debug)]
pub enum ValueType {
    /// `true` or `false`.
    Boolean,
    /// A whole number, at least as large as given.
    Count {
        /// Smallest value allowed.
        at_least: u64,
    },
    /// A finite number within all bounds.
    Number(&'static [RangeBound]),
    /// So many finite numbers, each within all bounds.
    Numbers {
        /// How many.
        length: usize,
        /// The range of each.
        bounds: &'static [RangeBound],
    },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Text with a rule of its own.
    Text {
        /// What the text is, for the reference.
        label: &'static str,
        /// Hands back what the text must be if it is not.
        rule: fn(&str) -> Result<(), String>,
    },
    /// A group of fields that belong together and are set together.
    Record(&'static [Field]),
    /// Any number of such groups.
    List(&'static [Field]),
}

/// One field of a [`ValueType::Record`] or of an item of a [`ValueType::List`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name within the record.
    pub name: &'static str,
    /// What it can hold.
    pub kind: ValueType,
    /// Value when it is left out; without one it must be given.
    pub default: Option<&'static str>,
    /// What it means, in one line.
    pub doc: &'static str,
}

/// One side of the range of a number.
#[derive(Clone, Copy, Debug)]
pub enum RangeBound {
    /// Greater than this.
    Above(f64),
    /// This or greater.
    AtLeast(f64),
    /// Less than this.
    Below(f64),
    /// This or less.
    AtMost(f64),
}

impl RangeBound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::Above(bound) => value > bound,
            Self::AtLeast(bound) => value >= bound,
            Self::Below(bound) => value < bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl fmt::Display for RangeBound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(bound) => write!(formatter, "above {bound}"),
            Self::AtLeast(bound) => write!(formatter, "at least {bound}"),
            Self::Below(bound) => write!(formatter, "below {bound}"),
            Self::AtMost(bound) => write!(formatter, "at most {bound}"),
        }
    }
}

impl ValueType {
    /// Whether loose text on the command line means itself rather than TOML.
    fn is_text(&self) -> bool {
        matches!(self, Self::Text { .. } | Self::Choice(_))
    }

    /// A value given as loose text: a path needs no quotes, a list is written as in TOML.
    pub(crate) fn read_text(&self, text: &str, origin: Origin) -> ConfigEntry {
        let entry = ConfigEntry::from_text(text, origin);
        match entry.value {
            Value::Text(_) => entry,
            _ if self.is_text() => ConfigEntry { value: Value::Text(text.to_owned()), ..entry },
            _ => entry,
        }
    }

    /// The value in its plain form, or nothing and at least one more problem.
    ///
    /// `path` is the name of the value in messages.
    pub(crate) fn check(
        &self,
        path: &str,
        entry: &ConfigEntry,
        problems: &mut Vec<Problem>,
    ) -> Option<toml::Value> {
        match (self, &entry.value) {
            (Self::Record(fields), Value::Record(given)) => {
                check_record(fields, path, entry, given, problems)
            }
            (Self::List(fields), Value::List(items)) => {
                let record = Self::Record(fields);
                let check =
                    |(index, item)| record.check(&format!("{path}[{index}]"), item, problems);
                // Every item is checked before the first bad one makes the list unusable.
                let checked: Vec<_> = items.iter().enumerate().map(check).collect();
                checked.into_iter().collect::<Option<Vec<_>>>().map(toml::Value::Array)
            }
            (Self::Numbers { length, bounds }, Value::List(items)) if items.len() == *length => {
                let number = Self::Number(bounds);
                let check =
                    |(index, item)| number.check(&format!("{path}[{index}]"), item, problems);
                let checked: Vec<_> = items.iter().enumerate().map(check).collect();
                checked.into_iter().collect::<Option<Vec<_>>>().map(toml::Value::Array)
            }
            (_, value) => match self.check_scalar(value) {
                Ok(value) => Some(value),
                Err(rule) => {
                    problems.push(Problem::new(&entry.origin, path, value, rule));
                    None
                }
            },
        }
    }

    fn check_scalar(&self, value: &Value) -> Result<toml::Value, String> {
        match (self, value) {
            (_, Value::Unusable { rule, .. }) => Err((*rule).to_owned()),
            (Self::Boolean, Value::Boolean(value)) => Ok(toml::Value::Boolean(*value)),
            (Self::Count { at_least }, Value::Integer(value)) => match u64::try_from(*value) {
                Ok(count) if count >= *at_least => Ok(toml::Value::Integer(*value)),
                _ => Err(format!("must be at least {at_least}")),
            },
            (Self::Number(bounds), Value::Number(value)) => check_number(*value, bounds),
            (Self::Number(bounds), Value::Integer(value)) => check_number(*value as f64, bounds),
            (Self::Choice(words), Value::Text(text)) => check_choice(text, words),
            (Self::Text { rule, .. }, Value::Text(text)) => {
                rule(text).map(|()| toml::Value::String(text.clone()))
            }
            (Self::Text { label, .. }, _) => Err(format!("must be {label}, in quotes")),
            _ => Err(format!("must be {}", self.described())),
        }
    }

    /// A checked value of this kind as one line of TOML that reads back to the same bits.
    ///
    /// Fields come in the order of the table, which is the order they are thought of.
    pub(crate) fn literal(&self, value: &toml::Value) -> String {
        match (self, value) {
            (Self::List(fields), toml::Value::Array(items)) => {
                let record = Self::Record(fields);
                bracketed('[', ']', items.iter().map(|item| record.literal(item)))
            }
            (Self::Record(fields), toml::Value::Table(table)) => {
                let field =
                    |field: &Field| Some((field.name, field.kind.literal(table.get(field.name)?)));
                let assignment = |(name, value)| format!("{name} = {value}");
                bracketed('{', '}', fields.iter().filter_map(field).map(assignment))
            }
            (Self::Numbers { bounds, .. }, toml::Value::Array(items)) => {
                bracketed('[', ']', items.iter().map(|item| Self::Number(bounds).literal(item)))
            }
            (_, toml::Value::Float(value)) => number(*value),
            (_, toml::Value::String(text)) => quoted(text),
            (_, value) => value.to_string(),
        }
    }

    /// What a value of this kind looks like, to follow "must be".
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::Count { at_least: 0 } => "a whole number".to_owned(),
            Self::Count { at_least } => format!("a whole number, at least {at_least}"),
            Self::Number([]) => "a number".to_owned(),
            Self::Number(bounds) => format!("a number {}", all(bounds)),
            Self::Numbers { length, bounds: [] } => format!("a list of {length} numbers"),
            Self::Numbers { length, bounds } => {
                format!("a list of {length} numbers {}", all(bounds))
            }
            Self::Choice(words) => one_of(words),
            Self::Text { label, .. } => (*label).to_owned(),
            Self::Record(fields) => format!("{{ {} }}", names(fields)),
            Self::List(fields) => format!("a list of {{ {} }}", names(fields)),
        }
    }
}

fn check_record(
    fields: &[Field],
    path: &str,
    entry: &ConfigEntry,
    given: &[(String, ConfigEntry)],
    problems: &mut Vec<Problem>,
) -> Option<toml::Value> {
    let before = problems.len();
    for (name, value) in given {
        if !fields.iter().any(|field| field.name == name) {
            let path = format!("{path}.{name}");
            problems.push(Problem::new(
                &value.origin,
                &path,
                &value.value,
                unknown_field(name, fields),
            ));
        }
    }
    let mut table = toml::Table::new();
    for field in fields {
        if let Some(value) = check_field(field, path, entry, given, problems) {
            table.insert(field.name.to_owned(), value);
        }
    }
    (problems.len() == before).then_some(toml::Value::Table(table))
}

fn unknown_field(name: &str, fields: &[Field]) -> String {
    match nearest(name, fields.iter().map(|field| field.name)) {
        Some(meant) => format!("unknown field, did you mean `{meant}`?"),
        None => format!("unknown field, there are {}", names(fields)),
    }
}

fn check_field(
    field: &Field,
    path: &str,
    entry: &ConfigEntry,
    given: &[(String, ConfigEntry)],
    problems: &mut Vec<Problem>,
) -> Option<toml::Value> {
    let path = format!("{path}.{}", field.name);
    let written = given.iter().find(|(name, _)| name == field.name).map(|(_, entry)| entry.clone());
    let default = || field.default.map(|text| field.kind.read_text(text, entry.origin.clone()));
    match written.or_else(default) {
        Some(value) => field.kind.check(&path, &value, problems),
        None => {
            let rule = format!("is missing, must be {}", field.kind.described());
            problems.push(Problem::without_value(&entry.origin, &path, rule));
            None
        }
    }
}

fn check_number(value: f64, bounds: &[RangeBound]) -> Result<toml::Value, String> {
    match value.is_finite() {
        false => Err("must be finite".to_owned()),
        true if bounds.iter().all(|bound| bound.holds(value)) => Ok(toml::Value::Float(value)),
        true => Err(format!("must be {}", all(bounds))),
    }
}

fn check_choice(text: &str, words: &[&str]) -> Result<toml::Value, String> {
    if words.contains(&text) {
        return Ok(toml::Value::String(text.to_owned()));
    }
    let meant =
        nearest(text, words.iter().copied()).map(|word| format!(", did you mean `{word}`?"));
    Err(format!("must be {}{}", one_of(words), meant.unwrap_or_default()))
}

fn all(bounds: &[RangeBound]) -> String {
    bounds.iter().map(RangeBound::to_string).collect::<Vec<_>>().join(" and ")
}

/// `"a", "b" or "c"`.
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

fn names(fields: &[Field]) -> String {
    fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_is_said_is_the_bound_that_holds() {
        for (bound, inside, outside) in [
            (RangeBound::Above(0.0), 1e-300, 0.0),
            (RangeBound::AtLeast(0.0), 0.0, -1e-300),
            (RangeBound::Below(1.0), 0.999, 1.0),
            (RangeBound::AtMost(1.0), 1.0, 1.001),
        ] {
            assert!(bound.holds(inside) && !bound.holds(outside), "{bound}: {inside} {outside}");
        }
    }
}
