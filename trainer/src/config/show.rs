//! A configuration as TOML that reads back to the same.

use std::fmt::Write;
use std::path::Path;

use crate::config::checks::ConfigError;
use crate::config::layers::{Layers, Purpose, Resolved};
use crate::config::schema::{Config, ConfigKey, GROUPS, KEYS};

impl Config {
    /// Every key with its value, as a file that reads back to the same config.
    pub fn to_toml(&self) -> String {
        document(self, |_| true, |_| None)
    }

    /// Reads a config that [`Config::to_toml`] wrote, without environment or command line.
    ///
    /// # Errors
    /// [`ConfigError`], its places given as lines of `path`, which is not read.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Ok(Layers::new().text(text, path).resolve(Purpose::Show)?.config)
    }

    fn table(&self) -> toml::Table {
        toml::Table::try_from(self).expect("paths and counts of a config were read from TOML")
    }
}

impl Resolved {
    /// Like [`Config::to_toml`], each value followed by the place that it came from.
    pub fn show(&self) -> String {
        document(&self.config, |_| true, |key| self.origin(key.path).map(ToString::to_string))
    }
}

/// The value of the key `path` as TOML.
pub(crate) fn value(config: &Config, path: &str) -> String {
    let table = config.table();
    ConfigKey::named(path).and_then(|key| value_of(&table, key)).unwrap_or_default()
}

/// The value of a key, or the word for having none; nothing for shapes that a folder fixes.
fn value_of(table: &toml::Table, key: &ConfigKey) -> Option<String> {
    let (group, name) = key.parts();
    let group = table.get(group)?;
    match group.get(name) {
        Some(value) => Some(key.kind.literal(value)),
        None if key.is_shape() && group.get("hidden_size").is_none() => None,
        None => key.absent.map(|absent| format!("\"{absent}\"")),
    }
}

/// The keys that are `wanted`, as a file.
pub(crate) fn document_of(config: &Config, wanted: impl Fn(&ConfigKey) -> bool) -> String {
    document(config, wanted, |_| None)
}

fn document(
    config: &Config,
    wanted: impl Fn(&ConfigKey) -> bool,
    comment: impl Fn(&ConfigKey) -> Option<String>,
) -> String {
    let table = config.table();
    let mut document = String::new();
    for (group, _) in GROUPS {
        let members = KEYS.iter().filter(|key| key.parts().0 == *group && wanted(key));
        let rows: Vec<_> = members
            .filter_map(|key| {
                Some((format!("{} = {}", key.parts().1, value_of(&table, key)?), comment(key)))
            })
            .collect();
        if rows.is_empty() {
            continue;
        }
        let blank = if document.is_empty() { "" } else { "\n" };
        write!(document, "{blank}[{group}]\n{}", aligned(&rows))
            .expect("writing to a string cannot fail");
    }
    document
}

/// One row a line, the comments in one column unless a long row pushes its own out.
fn aligned(rows: &[(String, Option<String>)]) -> String {
    const WIDEST: usize = 48;
    let lengths = rows.iter().map(|(row, _)| row.chars().count());
    let width = lengths.filter(|length| *length <= WIDEST).max().unwrap_or(0);
    let line = |(row, comment): &(String, Option<String>)| match comment {
        Some(comment) => format!("{row:width$}  # {comment}\n"),
        None => format!("{row}\n"),
    };
    rows.iter().map(line).collect()
}
