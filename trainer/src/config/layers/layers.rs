//! The configuration as written: the layers, before any value is checked.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::document::unknown_key;
use super::layer::{Findings, Layer, LayerBuilder};
use super::origin::Origin;
use super::resolved::Resolved;
use super::value::{ConfigEntry, Value};
use super::{document, resolved};
use crate::config::checks::{ConfigError, Problem};
use crate::config::schema::{ConfigKey, variable};

/// Variables with the prefix `COVEY_` that set no key.
pub const RESERVED_VARIABLES: &[&str] =
    &["COVEY_LOG", "COVEY_REFERENCE", "COVEY_UPDATE_DOCS", "COVEY_WALLET_KEY"];

const PREFIX: &str = "COVEY_";

/// The purpose of a configuration; training requires more than printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To print it, or to complete it by code.
    Show,
    /// To train, which requires data.
    Train,
}

/// All sources of a configuration, in the order of precedence.
///
/// Default, preset, file, environment, flags, `--set`: for each key, the last one counts; lists
/// and records are replaced as a whole. The order of the method calls matters only within one kind
/// of source.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    file: Option<PathBuf>,
    text: Option<String>,
    is_of_run: bool,
    environment: Vec<(OsString, OsString)>,
    flags: Vec<(String, String, Value)>,
    settings: Vec<String>,
}

impl Layers {
    /// Defaults and the default preset.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the TOML file at `path`.
    #[must_use]
    pub fn file(self, path: &Path) -> Self {
        Self { file: Some(path.to_owned()), ..self }
    }

    /// Uses `text` as the content of the file at `path`, which is not read.
    #[must_use]
    pub fn text(self, text: &str, path: &Path) -> Self {
        Self { file: Some(path.to_owned()), text: Some(text.to_owned()), ..self }
    }

    /// Like [`Self::text`], but only keys of the run are taken from it.
    ///
    /// Any peer can create a run, so its config must not choose paths, devices or limits of the
    /// machines that join.
    #[must_use]
    pub(crate) fn run_text(self, text: &str, path: &Path) -> Self {
        Self { is_of_run: true, ..self.text(text, path) }
    }

    /// Uses the variables with the prefix `COVEY_`; the others are ignored.
    #[must_use]
    pub fn environment(self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment: Vec<_> =
            variables.into_iter().filter(|(name, _)| is_setting(name)).collect();
        // The environment has no order; errors and notes should.
        environment.sort();
        Self { environment, ..self }
    }

    /// Sets `key` for the flag `name`; the value is written as after `--set`.
    #[must_use]
    pub fn flag(self, name: &str, key: &str, value: impl ToString) -> Self {
        // Without an origin here: `flag_layer` adds the name of the flag.
        let text = value.to_string();
        let entry = ConfigKey::named(key).map(|key| key.kind.read_text(&text, Origin::Default));
        self.flag_value(name, key, entry.map_or(Value::Text(text), |entry| entry.value))
    }

    /// Sets `key` to a path for the flag `name`.
    #[must_use]
    pub fn path_flag(self, name: &str, key: &str, path: &Path) -> Self {
        self.flag_value(name, key, path_value(path))
    }

    /// Sets the sources of training data, all with the same weight, for the flag `name`.
    #[must_use]
    pub fn sources_flag(self, name: &str, folders: &[PathBuf]) -> Self {
        let origin = Origin::Flag(name.to_owned());
        let sources = folders.iter().map(|folder| {
            let path = ConfigEntry { value: path_value(folder), origin: origin.clone() };
            let source = Value::Record(vec![("path".to_owned(), path)]);
            ConfigEntry { value: source, origin: origin.clone() }
        });
        let sources = Value::List(sources.collect());
        self.flag_value(name, "data.sources", sources)
    }

    /// Adds a `KEY=VALUE` of `--set`.
    #[must_use]
    pub fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// Merges the layers and checks the result.
    ///
    /// A value that a later layer replaces is not checked.
    ///
    /// # Errors
    /// [`ConfigError`]. An unreadable file or a syntax error is returned at once; all other
    /// problems are returned together.
    pub fn resolve(self, purpose: Purpose) -> Result<Resolved, ConfigError> {
        let mut findings = Findings::default();
        // From low to high precedence: `extend` replaces the values of earlier layers.
        let mut written = self.file_layer(&mut findings)?;
        written.extend(self.environment_layer(&mut findings));
        written.extend(self.flag_layer(&mut findings));
        written.extend(self.settings_layer(&mut findings));
        resolved::resolve(written, findings, purpose)
    }

    fn flag_value(mut self, name: &str, key: &str, value: Value) -> Self {
        self.flags.push((name.to_owned(), key.to_owned(), value));
        self
    }

    fn file_layer(&self, findings: &mut Findings) -> Result<Layer, ConfigError> {
        let mut layer = match (&self.file, &self.text) {
            (Some(path), Some(text)) => document::file_layer(text, path, findings)?,
            (Some(path), None) => document::file_layer(&document::read(path)?, path, findings)?,
            (None, _) => Layer::new(),
        };
        if self.is_of_run {
            // Ignored and not refused: a later release can move a key from the run to the machine,
            // and runs that were created before must stay readable.
            layer.retain(|path, _| ConfigKey::named(path).is_some_and(ConfigKey::is_of_run));
        }
        Ok(layer)
    }

    fn environment_layer(&self, findings: &mut Findings) -> Layer {
        let mut layer = LayerBuilder::new(findings);
        for (name, value) in &self.environment {
            let name = name.to_string_lossy();
            let origin = Origin::Environment(name.to_string());
            let path = name[PREFIX.len()..].replace("__", ".").to_lowercase();
            // One spelling for each key: `COVEY_train.steps` also has this path, but is unknown.
            let key = ConfigKey::named_ever(&path).filter(|_| variable(&path) == name);
            match (key, value.to_str()) {
                (Some((key, is_former)), Some(text)) => {
                    layer.insert(key, is_former, key.kind.read_text(text, origin));
                }
                // Kept as a value, so the message names the key and not only the variable.
                (Some((key, is_former)), None) => {
                    let value = not_text(&value.to_string_lossy());
                    layer.insert(key, is_former, ConfigEntry { value, origin });
                }
                (None, _) => {
                    let rule = unknown_key(&path, &origin);
                    let value = value.to_string_lossy().into_owned();
                    layer.problem(Problem::quoting(&origin, &path, value, rule));
                }
            }
        }
        layer.finish()
    }

    fn flag_layer(&self, findings: &mut Findings) -> Layer {
        let mut layer = LayerBuilder::new(findings);
        for (name, path, value) in &self.flags {
            let origin = Origin::Flag(name.clone());
            // Flags are in this program, so they use current names only.
            match ConfigKey::named(path) {
                Some(key) => {
                    layer.insert(key, false, ConfigEntry { value: value.clone(), origin });
                }
                None => {
                    let rule = unknown_key(path, &origin);
                    layer.problem(Problem::new(&origin, path, value, rule));
                }
            }
        }
        layer.finish()
    }

    fn settings_layer(&self, findings: &mut Findings) -> Layer {
        let mut layer = LayerBuilder::new(findings);
        for setting in &self.settings {
            let Some((path, text)) = setting.split_once('=') else {
                let rule = "must be KEY=VALUE";
                layer.problem(Problem::without_value(&Origin::Set, setting, rule));
                continue;
            };
            // Spaces around `=` are allowed as in TOML.
            let (path, text) = (path.trim(), text.trim());
            match ConfigKey::named_ever(path) {
                Some((key, is_former)) => {
                    layer.insert(key, is_former, key.kind.read_text(text, Origin::Set));
                }
                None => {
                    let rule = unknown_key(path, &Origin::Set);
                    layer.problem(Problem::quoting(&Origin::Set, path, text.to_owned(), rule));
                }
            }
        }
        layer.finish()
    }
}

fn is_setting(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with(PREFIX) && !RESERVED_VARIABLES.contains(&name))
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
