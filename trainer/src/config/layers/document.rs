//! A TOML document as a layer, each value with its line.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::layer::{Findings, Layer, LayerBuilder, spelling};
use super::origin::Origin;
use super::value::{ConfigEntry, Locate};
use crate::config::checks::{ConfigError, Problem, nearest_group, nearest_key};
use crate::config::schema::{ConfigKey, GROUPS, KEYS};

/// Reads the text of a config file.
///
/// # Errors
/// [`ConfigError::NotFound`], [`ConfigError::Unreadable`] or [`ConfigError::NotText`].
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = fs::read(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => ConfigError::NotFound { path: path.to_owned() },
        _ => ConfigError::Unreadable { path: path.to_owned(), source },
    })?;
    // Not `from_utf8_lossy`: a replaced character in a path would name another file.
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        ConfigError::NotText {
            path: path.to_owned(),
            line: 1 + valid.filter(|byte| **byte == b'\n').count(),
        }
    })
}

/// The layer of the file at `path` with this `text`.
///
/// # Errors
/// [`ConfigError::Syntax`]; unknown keys become problems in `findings`.
pub(crate) fn file_layer(
    text: &str,
    path: &Path,
    findings: &mut Findings,
) -> Result<Layer, ConfigError> {
    // Lines are counted again for every value; a config file is short.
    let locate = |offset| Origin::File { path: path.to_owned(), line: position(text, offset).0 };
    layer(text, &locate, findings).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let message = error.message().replace('\n', ", ");
        ConfigError::Syntax { path: path.to_owned(), line, column, message }
    })
}

/// The layer of a TOML document; `locate` turns byte offsets into places.
///
/// # Errors
/// The first syntax error; unknown keys become problems in `findings`.
pub(crate) fn layer(
    text: &str,
    locate: &Locate<'_>,
    findings: &mut Findings,
) -> Result<Layer, toml::de::Error> {
    let document = DeTable::parse(text)?;
    let mut layer = LayerBuilder::new(findings);
    collect(document.get_ref(), None, locate, &mut layer);
    Ok(layer.finish())
}

fn collect(
    table: &DeTable<'_>,
    group: Option<&str>,
    locate: &Locate<'_>,
    layer: &mut LayerBuilder<'_>,
) {
    for (name, value) in table {
        let path = match group {
            Some(group) => format!("{group}.{}", name.get_ref()),
            None => name.get_ref().to_string(),
        };
        let entry = ConfigEntry::from_toml(value.get_ref(), name.span().start, locate);
        let is_table = matches!(value.get_ref(), DeValue::Table(_));
        if let Some((key, is_former)) = ConfigKey::named_ever(&path) {
            layer.insert(key, is_former, entry);
        } else if let (true, DeValue::Table(keys)) = (is_group(&path), value.get_ref()) {
            collect(keys, Some(&path), locate, layer);
        } else if group.is_none() && is_table {
            // Its keys are not reported: they are all unknown for this one reason.
            let rule = unknown_group(&path);
            layer.problem(Problem::without_value(&entry.origin, &format!("[{path}]"), rule));
        } else {
            let rule = if is_group(&path) {
                format!("is a group, set its keys under `[{path}]`")
            } else {
                unknown_key(&path, &entry.origin)
            };
            layer.problem(Problem::new(&entry.origin, &path, &entry.value, rule));
        }
    }
}

/// The message about an unknown key, with the nearest known key as `origin` spells it.
pub(crate) fn unknown_key(path: &str, origin: &Origin) -> String {
    // Such a key is spelt right, so a list of similar keys would mislead.
    let whole = KEYS.iter().find(|key| {
        !key.kind.fields().is_empty()
            && path.strip_prefix(key.path).is_some_and(|rest| rest.starts_with(['.', '[']))
    });
    if let Some(whole) = whole {
        let whole = spelling(whole.path, origin);
        return format!("is part of `{whole}`, which is set as a whole");
    }
    match nearest_key(path) {
        Some(meant) => format!("unknown key, did you mean `{}`?", spelling(meant, origin)),
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

/// Line and column of a byte offset, both from 1; columns count characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    // `get`: an offset from elsewhere must not panic in the middle of an error message.
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
}
