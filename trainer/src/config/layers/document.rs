//! TOML text as a layer of values, each with its line.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::origin::Origin;
use super::value::{ConfigEntry, Locate};
use crate::config::checks::{ConfigError, Problem, nearest_group, nearest_key};
use crate::config::schema::{ConfigKey, GROUPS, KEYS, ValueType};

/// What one place says, by dotted path of the key; only keys that exist.
pub(crate) type Layer = BTreeMap<&'static str, ConfigEntry>;

/// The text of a config file.
///
/// # Errors
/// [`ConfigError::NotFound`], [`ConfigError::Unreadable`] or [`ConfigError::NotText`].
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = fs::read(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => ConfigError::NotFound { path: path.to_owned() },
        _ => ConfigError::Unreadable { path: path.to_owned(), source },
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        ConfigError::NotText {
            path: path.to_owned(),
            line: 1 + valid.filter(|byte| **byte == b'\n').count(),
        }
    })
}

/// The layer that the file at `path` with this `text` says.
///
/// # Errors
/// [`ConfigError::Syntax`]; keys that do not exist become `problems`.
pub(crate) fn file_layer(
    text: &str,
    path: &Path,
    problems: &mut Vec<Problem>,
) -> Result<Layer, ConfigError> {
    let locate = |offset| Origin::File { path: path.to_owned(), line: position(text, offset).0 };
    layer(text, &locate, problems).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let message = error.message().replace('\n', ", ");
        ConfigError::Syntax { path: path.to_owned(), line, column, message }
    })
}

/// The layer that a TOML document says, its places given by `locate`.
///
/// # Errors
/// The first mistake in syntax; keys that do not exist become `problems`.
pub(crate) fn layer(
    text: &str,
    locate: &Locate<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Layer, toml::de::Error> {
    let document = DeTable::parse(text)?;
    let mut layer = Layer::new();
    collect(document.get_ref(), None, locate, &mut layer, problems);
    Ok(layer)
}

fn collect(
    table: &DeTable<'_>,
    group: Option<&str>,
    locate: &Locate<'_>,
    layer: &mut Layer,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in table {
        let path = group.map_or_else(
            || name.get_ref().to_string(),
            |group| format!("{group}.{}", name.get_ref()),
        );
        let entry = ConfigEntry::from_toml(value.get_ref(), name.span().start, locate);
        if let Some(key) = ConfigKey::named(&path) {
            layer.insert(key.path, entry);
        } else if let (true, DeValue::Table(keys)) = (is_group(&path), value.get_ref()) {
            collect(keys, Some(&path), locate, layer, problems);
        } else if is_group(&path) {
            let rule = format!("is a group, set its keys under `[{path}]`");
            problems.push(Problem::new(&entry.origin, &path, &entry.value, rule));
        } else if let (None, DeValue::Table(_)) = (group, value.get_ref()) {
            problems.push(Problem::without_value(
                &entry.origin,
                &format!("[{path}]"),
                unknown_group(&path),
            ));
        } else {
            let rule = unknown_key(&path, |key| key.path.to_owned());
            problems.push(Problem::new(&entry.origin, &path, &entry.value, rule));
        }
    }
}

/// What to say of a key that does not exist, with the nearest that does in the `spelling` of its place.
pub(crate) fn unknown_key(path: &str, spelling: impl Fn(&ConfigKey) -> String) -> String {
    let within = |key: &&ConfigKey| {
        matches!(key.kind, ValueType::Record(_) | ValueType::List(_))
            && path.strip_prefix(key.path).is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    if let Some(whole) = KEYS.iter().find(within) {
        return format!("is part of `{}`, which is set as a whole", spelling(whole));
    }
    match nearest_key(path).and_then(ConfigKey::named) {
        Some(key) => format!("unknown key, did you mean `{}`?", spelling(key)),
        None => "unknown key".to_owned(),
    }
}

fn unknown_group(name: &str) -> String {
    match nearest_group(name) {
        Some(group) => format!("unknown group, did you mean `[{group}]`?"),
        None => {
            let groups: Vec<_> = GROUPS.iter().map(|(group, _)| *group).collect();
            format!("unknown group, there are {}", groups.join(", "))
        }
    }
}

fn is_group(path: &str) -> bool {
    GROUPS.iter().any(|(group, _)| *group == path)
}

/// Line and column of a byte offset, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
}
