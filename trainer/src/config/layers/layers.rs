//! The configuration as written: who said what, before anything is checked.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::document::{Layer, unknown_key};
use super::origin::Origin;
use super::resolved::Resolved;
use super::value::{ConfigEntry, Value};
use super::{document, resolved};
use crate::config::checks::{ConfigError, Problem};
use crate::config::schema::ConfigKey;

/// Variables that start with `COVEY_` but set no key.
pub const RESERVED_VARIABLES: &[&str] = &["COVEY_REFERENCE", "COVEY_UPDATE_DOCS"];

const PREFIX: &str = "COVEY_";

/// What the configuration is wanted for; more must be there to train than to look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be looked at, or to be completed by the program.
    Show,
    /// To train, so there must be data.
    Train,
}

/// Everything that was said about a run, in the order of precedence.
///
/// Default, preset, file, environment, flags, `--set`: the later wins, key by
/// key; lists and records are replaced as a whole. The order of the calls
/// does not matter between these, only among settings of the same kind.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    file: Option<PathBuf>,
    text: Option<String>,
    environment: Vec<(OsString, OsString)>,
    flags: Vec<(String, String, Value)>,
    settings: Vec<String>,
}

impl Layers {
    /// Nothing but defaults and the default preset.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the TOML file at `path`.
    #[must_use]
    pub fn file(self, path: &Path) -> Self {
        Self { file: Some(path.to_owned()), ..self }
    }

    /// Takes `text` for the content of the file at `path`, which is then not read.
    #[must_use]
    pub fn text(self, text: &str, path: &Path) -> Self {
        Self { file: Some(path.to_owned()), text: Some(text.to_owned()), ..self }
    }

    /// Takes the variables that start with `COVEY_`; the rest is ignored.
    #[must_use]
    pub fn environment(self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let ours = |(name, _): &(OsString, OsString)| {
            name.to_str()
                .is_some_and(|name| name.starts_with(PREFIX) && !RESERVED_VARIABLES.contains(&name))
        };
        let mut environment: Vec<_> = variables.into_iter().filter(ours).collect();
        environment.sort();
        Self { environment, ..self }
    }

    /// Sets `key` on behalf of the flag `name`, the value written as after `--set`.
    #[must_use]
    pub fn flag(self, name: &str, key: &str, value: impl ToString) -> Self {
        let text = value.to_string();
        let entry = ConfigKey::named(key).map(|key| key.kind.read_text(&text, Origin::Default));
        self.flag_value(name, key, entry.map_or(Value::Text(text), |entry| entry.value))
    }

    /// Sets `key` to a path on behalf of the flag `name`.
    #[must_use]
    pub fn path_flag(self, name: &str, key: &str, path: &Path) -> Self {
        self.flag_value(name, key, path_value(path))
    }

    /// Learns from these folders, all with the same weight, on behalf of the flag `name`.
    #[must_use]
    pub fn sources_flag(self, name: &str, folders: &[PathBuf]) -> Self {
        let origin = Origin::Flag(name.to_owned());
        let entry = |value| ConfigEntry { value, origin: origin.clone() };
        let source = |folder: &PathBuf| {
            entry(Value::Record(vec![("path".to_owned(), entry(path_value(folder)))]))
        };
        let sources = folders.iter().map(source).collect();
        self.flag_value(name, "data.sources", Value::List(sources))
    }

    /// Takes one `KEY=VALUE` as given to `--set`.
    #[must_use]
    pub fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// Checks everything and says what it means, or all that is wrong with it.
    ///
    /// A value that a later layer replaces is not checked.
    ///
    /// # Errors
    /// [`ConfigError`]: a file that cannot be read or parsed ends it at once, everything else is collected.
    pub fn resolve(self, purpose: Purpose) -> Result<Resolved, ConfigError> {
        let mut problems = Vec::new();
        let mut written = self.file_layer(&mut problems)?;
        written.extend(self.environment_layer(&mut problems));
        written.extend(self.flag_layer(&mut problems));
        written.extend(self.settings_layer(&mut problems));
        resolved::resolve(written, problems, purpose)
    }

    fn flag_value(mut self, name: &str, key: &str, value: Value) -> Self {
        self.flags.push((name.to_owned(), key.to_owned(), value));
        self
    }

    fn file_layer(&self, problems: &mut Vec<Problem>) -> Result<Layer, ConfigError> {
        match (&self.file, &self.text) {
            (Some(path), Some(text)) => document::file_layer(text, path, problems),
            (Some(path), None) => document::file_layer(&document::read(path)?, path, problems),
            (None, _) => Ok(Layer::new()),
        }
    }

    fn environment_layer(&self, problems: &mut Vec<Problem>) -> Layer {
        let mut layer = Layer::new();
        for (name, value) in &self.environment {
            let name = name.to_string_lossy();
            let origin = Origin::Environment(name.to_string());
            // Only the spelling of `ConfigKey::variable` counts, so that there is one way to write each.
            let path = name[PREFIX.len()..].replace("__", ".").to_lowercase();
            match (ConfigKey::named(&path).filter(|key| key.variable() == name), value.to_str()) {
                (Some(key), Some(text)) => {
                    _ = layer.insert(key.path, key.kind.read_text(text, origin))
                }
                (Some(key), None) => {
                    _ = layer.insert(
                        key.path,
                        ConfigEntry { value: not_text(&value.to_string_lossy()), origin },
                    )
                }
                (None, _) => problems.push(Problem::quoting(
                    &origin,
                    &path,
                    value.to_string_lossy().into_owned(),
                    unknown_key(&path, ConfigKey::variable),
                )),
            }
        }
        layer
    }

    fn flag_layer(&self, problems: &mut Vec<Problem>) -> Layer {
        let mut layer = Layer::new();
        for (name, path, value) in &self.flags {
            let origin = Origin::Flag(name.clone());
            match ConfigKey::named(path) {
                Some(key) => {
                    _ = layer.insert(key.path, ConfigEntry { value: value.clone(), origin })
                }
                None => problems.push(Problem::new(
                    &origin,
                    path,
                    value,
                    unknown_key(path, |key| key.path.to_owned()),
                )),
            }
        }
        layer
    }

    fn settings_layer(&self, problems: &mut Vec<Problem>) -> Layer {
        let mut layer = Layer::new();
        for setting in &self.settings {
            let Some((path, text)) =
                setting.split_once('=').map(|(path, text)| (path.trim(), text.trim()))
            else {
                problems.push(Problem::without_value(&Origin::Set, setting, "must be KEY=VALUE"));
                continue;
            };
            match ConfigKey::named(path) {
                Some(key) => _ = layer.insert(key.path, key.kind.read_text(text, Origin::Set)),
                None => {
                    let rule = unknown_key(path, |key| key.path.to_owned());
                    problems.push(Problem::quoting(&Origin::Set, path, text.to_owned(), rule));
                }
            }
        }
        layer
    }
}

fn path_value(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => Value::Text(text.to_owned()),
        None => not_text(&path.to_string_lossy()),
    }
}

fn not_text(shown: &str) -> Value {
    Value::Unusable { shown: shown.to_owned(), rule: "must be UTF-8 text" }
}
