//! The type of a value, and the check of a written value against it.

use std::fmt;

use super::schema::Naming;
use crate::config::checks::{Problem, nearest};
use crate::config::layers::{ConfigEntry, Origin, Value, bracketed, number, quoted};

/// The type of a key or field, with its range.
#[derive(Clone, Copy, Debug)]
pub enum ValueType {
    /// `true` or `false`.
    Boolean,
    /// A whole number with a lower bound.
    Count {
        /// Smallest allowed value.
        at_least: u64,
    },
    /// A finite number within all bounds.
    Number(&'static [RangeBound]),
    /// A list of finite numbers, each within all bounds.
    Numbers {
        /// Length of the list.
        length: usize,
        /// Range of each number.
        bounds: &'static [RangeBound],
    },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Text with a rule.
    Text {
        /// Name of the type in the reference.
        label: &'static str,
        /// Returns the text's requirement as an error if the text breaks it.
        rule: fn(&str) -> Result<(), String>,
    },
    /// Fields that are set together.
    Record(&'static [Field]),
    /// A list of such records.
    List(&'static [Field]),
}

/// A field of a [`ValueType::Record`] or of an item of a [`ValueType::List`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name within the record.
    pub name: &'static str,
    /// The name until the previous release, as for a key.
    pub formerly: Option<&'static str>,
    /// Type and range of the value.
    pub kind: ValueType,
    /// The value if the field is left out; a field without a default is required.
    pub default: Option<&'static str>,
    /// The meaning, in one line.
    pub doc: &'static str,
}

/// A required field, refined by the methods below.
pub(super) const fn field(name: &'static str, kind: ValueType, doc: &'static str) -> Field {
    Field { name, formerly: None, kind, default: None, doc }
}

impl Field {
    pub(super) const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) const fn formerly(self, name: &'static str) -> Self {
        Self { formerly: Some(name), ..self }
    }

    /// The name within the record.
    pub(crate) fn name(&self, naming: Naming) -> &'static str {
        match (naming, self.formerly) {
            (Naming::Wire, Some(former)) => former,
            _ => self.name,
        }
    }
}

/// One bound of the range of a number.
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
    /// Returns true if unquoted text on the command line is the value, rather than TOML.
    fn is_text(&self) -> bool {
        matches!(self, Self::Text { .. } | Self::Choice(_))
    }

    /// The fields of a record or of the items of a list; empty for other types.
    pub(crate) fn fields(&self) -> &'static [Field] {
        match self {
            Self::Record(fields) | Self::List(fields) => fields,
            _ => &[],
        }
    }

    /// Reads a value from the command line or a variable: TOML, but text needs no quotes.
    pub(crate) fn read_text(&self, text: &str, origin: Origin) -> ConfigEntry {
        let entry = ConfigEntry::from_text(text, origin);
        match entry.value {
            Value::Text(_) => entry,
            // `--set run.name=2026` is a name although it reads as a TOML integer.
            _ if self.is_text() => ConfigEntry { value: Value::Text(text.to_owned()), ..entry },
            _ => entry,
        }
    }

    /// Checks a value and returns it in its serialised form, under wire names.
    ///
    /// Returns `None` and adds to `problems` if it breaks a rule. `path` is its name in messages.
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
                check_items(Self::Record(fields), path, items, problems)
            }
            (Self::Numbers { length, bounds }, Value::List(items)) if items.len() == *length => {
                check_items(Self::Number(bounds), path, items, problems)
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
            // First: it breaks the rules of every type.
            (_, Value::Unusable { rule, .. }) => Err((*rule).to_owned()),
            (Self::Boolean, Value::Boolean(value)) => Ok(toml::Value::Boolean(*value)),
            (Self::Count { at_least }, Value::Integer(value)) => match u64::try_from(*value) {
                Ok(count) if count >= *at_least => Ok(toml::Value::Integer(*value)),
                _ => Err(format!("must be at least {at_least}")),
            },
            (Self::Number(bounds), Value::Number(value)) => check_number(*value, bounds),
            // `learning_rate = 1` is as good as `1.0`.
            (Self::Number(bounds), Value::Integer(value)) => check_number(*value as f64, bounds),
            (Self::Choice(words), Value::Text(text)) => check_choice(text, words),
            (Self::Text { rule, .. }, Value::Text(text)) => {
                rule(text).map(|()| toml::Value::String(text.clone()))
            }
            // Text without quotes is the usual mistake in TOML.
            (Self::Text { label, .. }, _) => Err(format!("must be {label}, in quotes")),
            _ => Err(format!("must be {}", self.described())),
        }
    }

    /// A checked value as one line of TOML that reads back to the same bits.
    ///
    /// Fields are in the order of the table.
    pub(crate) fn literal(&self, value: &toml::Value, naming: Naming) -> String {
        match (self, value) {
            (Self::List(fields), toml::Value::Array(items)) => {
                let record = Self::Record(fields);
                bracketed('[', ']', items.iter().map(|item| record.literal(item, naming)))
            }
            (Self::Record(fields), toml::Value::Table(table)) => {
                bracketed('{', '}', fields.iter().filter_map(|field| field.literal(table, naming)))
            }
            (Self::Numbers { bounds, .. }, toml::Value::Array(items)) => {
                let each = Self::Number(bounds);
                bracketed('[', ']', items.iter().map(|item| each.literal(item, naming)))
            }
            // The same bits as `toml` would write, with exponents where they are easier to read.
            (_, toml::Value::Float(value)) => number(*value),
            (_, toml::Value::String(text)) => quoted(text),
            (_, value) => value.to_string(),
        }
    }

    /// A description of the type, to follow "must be".
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

impl Field {
    /// `name = value` from the serialised form of a record.
    fn literal(&self, table: &toml::Table, naming: Naming) -> Option<String> {
        let value = table.get(self.name(Naming::Wire))?;
        Some(format!("{} = {}", self.name(naming), self.kind.literal(value, naming)))
    }
}

fn check_items(
    kind: ValueType,
    path: &str,
    items: &[ConfigEntry],
    problems: &mut Vec<Problem>,
) -> Option<toml::Value> {
    // Collected first: every item is checked before the first bad one makes the list unusable.
    let checked: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(index, item)| kind.check(&format!("{path}[{index}]"), item, problems))
        .collect();
    checked.into_iter().collect::<Option<Vec<_>>>().map(toml::Value::Array)
}

fn check_record(
    fields: &[Field],
    path: &str,
    entry: &ConfigEntry,
    given: &[(String, ConfigEntry)],
    problems: &mut Vec<Problem>,
) -> Option<toml::Value> {
    let before = problems.len();
    for (name, entry) in given.iter().filter(|(name, _)| !has_field(fields, name)) {
        let path = format!("{path}.{name}");
        let rule = unknown_field(name, fields);
        problems.push(Problem::new(&entry.origin, &path, &entry.value, rule));
    }
    let mut table = toml::Table::new();
    for field in fields {
        if let Some(value) = check_field(field, path, entry, given, problems) {
            table.insert(field.name(Naming::Wire).to_owned(), value);
        }
    }
    // A record with one bad field has no value at all: half of it must not take effect.
    (problems.len() == before).then_some(toml::Value::Table(table))
}

fn has_field(fields: &[Field], name: &str) -> bool {
    fields.iter().any(|field| field.name == name)
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
    if let Some((_, written)) = given.iter().find(|(name, _)| name == field.name) {
        return field.kind.check(&path, written, problems);
    }
    let Some(default) = field.default else {
        let rule = format!("is missing, must be {}", field.kind.described());
        problems.push(Problem::without_value(&entry.origin, &path, rule));
        return None;
    };
    // Checked like a written value: that also turns the text of the default into a value.
    field.kind.check(&path, &field.kind.read_text(default, entry.origin.clone()), problems)
}

fn check_number(value: f64, bounds: &[RangeBound]) -> Result<toml::Value, String> {
    if !value.is_finite() {
        return Err("must be finite".to_owned());
    }
    if !bounds.iter().all(|bound| bound.holds(value)) {
        return Err(format!("must be {}", all(bounds)));
    }
    Ok(toml::Value::Float(value))
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
    fn a_bound_excludes_the_values_beyond_it() {
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
