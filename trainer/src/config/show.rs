//! A configuration as TOML.

use std::fmt::Write;
use std::path::Path;

use crate::config::checks::ConfigError;
use crate::config::layers::{Layers, Purpose, Resolved};
use crate::config::schema::{Config, ConfigKey, GROUPS, KEYS, Naming};

/// The width up to which rows align their comments; longer rows push only their own comment out.
const WIDEST: usize = 48;

impl Config {
    /// Every key with its value, as a file that reads back to the same config.
    pub fn to_toml(&self) -> String {
        document(self, Naming::Current, |_| true, |_| None)
    }

    /// Reads a config of [`Config::to_toml`], without environment and command line.
    ///
    /// Former names are accepted, as in the checkpoints of earlier releases.
    ///
    /// # Errors
    /// [`ConfigError`], with places as lines of `path`, which is not read.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Ok(Layers::new().text(text, path).resolve(Purpose::Show)?.config)
    }

    fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("paths and counts of a config were read from TOML")
    }
}

impl Resolved {
    /// Like [`Config::to_toml`], with the origin of each value as a comment.
    pub fn show(&self) -> String {
        document(
            &self.config,
            Naming::Current,
            |_| true,
            |key| self.origin(key.path).map(ToString::to_string),
        )
    }
}

/// The value of the key `path` as TOML.
pub(crate) fn value(config: &Config, path: &str) -> String {
    let table = config.table();
    ConfigKey::named(path)
        .and_then(|key| value_of(&table, key, Naming::Current))
        .unwrap_or_default()
}

/// The value of a key as TOML; `None` for a key of the shape if `model.from` determines the shape.
fn value_of(table: &toml::Table, key: &ConfigKey, naming: Naming) -> Option<String> {
    let group = table.get(key.parts().0)?;
    match group.get(key.name(Naming::Wire)) {
        Some(toml::Value::String(word)) => {
            let word = toml::Value::String(key.word(word, naming).to_owned());
            Some(key.kind.literal(&word, naming))
        }
        // By the type of the key, for the order of fields and the spelling of numbers.
        Some(value) => Some(key.kind.literal(value, naming)),
        // Every shape has a hidden size, so without one there is no shape.
        None if key.is_shape() && group.get("hidden_size").is_none() => None,
        None => key.absent.map(|absent| format!("\"{}\"", key.word(absent, naming))),
    }
}

/// A file with the `wanted` keys, under the names of `naming`.
pub(super) fn document(
    config: &Config,
    naming: Naming,
    wanted: impl Fn(&ConfigKey) -> bool,
    comment: impl Fn(&ConfigKey) -> Option<String>,
) -> String {
    let table = config.table();
    let mut document = String::new();
    for (group, _) in GROUPS {
        let members = KEYS.iter().filter(|key| key.parts().0 == *group && wanted(key));
        let rows: Vec<_> = members
            .filter_map(|key| {
                let value = value_of(&table, key, naming)?;
                Some((format!("{} = {value}", key.name(naming)), comment(key)))
            })
            .collect();
        if rows.is_empty() {
            // `[checkpoint]` has no key of the run, and a shared config no empty group.
            continue;
        }
        let blank = if document.is_empty() { "" } else { "\n" };
        write!(document, "{blank}[{group}]\n{}", aligned(&rows))
            .expect("writing to a string cannot fail");
    }
    document
}

/// One row a line, with comments in one column.
fn aligned(rows: &[(String, Option<String>)]) -> String {
    let lengths = rows.iter().map(|(row, _)| row.chars().count());
    let width = lengths.filter(|length| *length <= WIDEST).max().unwrap_or(0);
    rows.iter()
        .map(|(row, comment)| match comment {
            Some(comment) => format!("{row:width$}  # {comment}\n"),
            None => format!("{row}\n"),
        })
        .collect()
}
