//! Merges and checks the layers, and computes derived values.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::derived::Checked;
use super::layer::{Findings, Layer, RenamedKey};
use super::layers::Purpose;
use super::origin::Origin;
use super::value::{ConfigEntry, Value};
use crate::config::checks::{ConfigError, Facts, Problem, Problems, cross_checks};
use crate::config::schema::{Config, ConfigKey, Fallback, KEYS, Naming, presets};

/// A checked configuration with the origin of every value.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The checked configuration.
    pub config: Config,
    /// The keys that were set under their former names, each once.
    pub renamed: Vec<RenamedKey>,
    pub(crate) origins: Origins,
}

impl Resolved {
    /// The origin of the value of `path`; `None` if the key plays no part.
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.origins.get(path)
    }
}

/// The origin of the value of every key.
pub(crate) type Origins = BTreeMap<&'static str, Origin>;

/// Adds defaults and preset below the `written` layer, and checks all values.
pub(crate) fn resolve(
    written: Layer,
    findings: Findings,
    purpose: Purpose,
) -> Result<Resolved, ConfigError> {
    let Findings { mut problems, renamed } = findings;
    let (base, preset_exists) = base_layer(&written);
    let mut entries = base.clone();
    // Before the checks: the shape of the preset must not be compared with that of the folder.
    entries.extend(written);
    leave_shape_to_folder(&mut entries, &mut problems);
    let (checked, broken) = check_entries(&entries, &base, &mut problems);
    let origins = KEYS
        .iter()
        .filter(|key| plays_a_part(key, &entries))
        .map(|key| (key.path, origin(key, &entries)))
        .collect();
    let config = typed(complete(checked, &entries));
    // With an unknown preset the shape is a stand-in, and its contradictions would mislead.
    if preset_exists {
        let facts = Facts { config: &config, origins: &origins, purpose };
        problems.extend(cross_checks::breaches(&facts, &broken));
    }
    match Problems::sorted(problems) {
        Some(problems) => Err(ConfigError::Problems(problems)),
        None => Ok(Resolved { config, renamed: once_per_key(renamed), origins }),
    }
}

fn once_per_key(renamed: Vec<RenamedKey>) -> Vec<RenamedKey> {
    let mut seen = BTreeSet::new();
    renamed.into_iter().filter(|key| seen.insert(key.current.clone())).collect()
}

/// Defaults and preset, and true if the chosen preset exists.
fn base_layer(written: &Layer) -> (Layer, bool) {
    let mut base = Layer::new();
    for key in KEYS {
        if let Fallback::Value(text) = key.fallback {
            base.insert(key.path, key.kind.read_text(text, Origin::Default));
        }
    }
    let chosen = written.get("model.preset").or_else(|| base.get("model.preset"));
    let chosen = chosen.and_then(|entry| match &entry.value {
        Value::Text(name) => presets::layer(name),
        _ => None,
    });
    let exists = chosen.is_some();
    // Any other preset serves to check the remaining keys, so all problems are reported together.
    base.extend(chosen.or_else(|| presets::layer("tiny")).expect("`tiny` is a preset"));
    (base, exists)
}

/// Removes the shape if `model.from` is set; a written shape is then a problem.
fn leave_shape_to_folder(entries: &mut Layer, problems: &mut Vec<Problem>) {
    if !has_folder(entries) {
        return;
    }
    entries.retain(|path, entry| {
        let is_shape = ConfigKey::named(path).is_some_and(ConfigKey::is_shape);
        if is_shape && entry.origin.is_written() {
            let rule = "must be left out, the folder of `model.from` determines it";
            problems.push(Problem::new(&entry.origin, path, &entry.value, rule));
        }
        !is_shape
    });
}

fn has_folder(entries: &Layer) -> bool {
    entries
        .get("model.from")
        .is_some_and(|entry| !matches!(&entry.value, Value::Text(text) if text == "none"))
}

fn plays_a_part(key: &ConfigKey, entries: &Layer) -> bool {
    !(key.is_shape() && has_folder(entries))
}

fn origin(key: &ConfigKey, entries: &Layer) -> Origin {
    entries.get(key.path).map_or(Origin::Default, |entry| entry.origin.clone())
}

/// The checked values, and the keys that failed their check.
fn check_entries(
    entries: &Layer,
    base: &Layer,
    problems: &mut Vec<Problem>,
) -> (Checked, BTreeSet<&'static str>) {
    let mut checked = Checked::default();
    let mut broken = BTreeSet::new();
    for key in KEYS {
        let Some(entry) = present(key, entries) else { continue };
        let before = problems.len();
        let mut value = key.check(entry, problems);
        if problems.len() > before {
            broken.insert(key.path);
            // The base value keeps `Config` complete, so rules between other keys still run.
            value = present(key, base).and_then(|entry| key.check(entry, &mut Vec::new()));
        }
        if let Some(value) = value {
            checked.insert(key.path, value);
        }
    }
    (checked, broken)
}

/// The entry of a key, unless it is the key's word for "no value".
fn present<'a>(key: &ConfigKey, entries: &'a Layer) -> Option<&'a ConfigEntry> {
    entries.get(key.path).filter(|entry| {
        !matches!((&entry.value, key.absent), (Value::Text(text), Some(absent)) if text == absent)
    })
}

/// Adds the values that are computed from others.
fn complete(mut checked: Checked, entries: &Layer) -> Checked {
    for key in KEYS {
        if let Fallback::Derived { value, .. } = key.fallback
            && !checked.contains(key.path)
            && plays_a_part(key, entries)
        {
            // In the order of the table, so a rule can use the results of earlier rows.
            checked.insert(key.path, value(&checked));
        }
    }
    checked
}

fn typed(checked: Checked) -> Config {
    let table = toml::Value::Table(checked.into_table());
    let mut config =
        Config::deserialize(table).expect("values that pass the schema fit the sections");
    // The name before the folder: the key file may be in the folder.
    if let Some(output) = config.run.output.to_str() {
        config.run.output = output.replace("<name>", &config.run.name).into();
    }
    if let (Some(key), Some(output)) = (config.comms.key_file.to_str(), config.run.output.to_str())
    {
        config.comms.key_file = key.replace("<output>", output).into();
    }
    config
}

impl ConfigKey {
    /// Checks a value and returns its serialised form, under wire names; `None` adds problems.
    fn check(&self, entry: &ConfigEntry, problems: &mut Vec<Problem>) -> Option<toml::Value> {
        let before = problems.len();
        let value = self.kind.check(self.path, entry, problems);
        if let (Some(absent), [problem]) = (self.absent, &mut problems[before..])
            && problem.key == self.path
            && problem.rule.starts_with("must be ")
        {
            // Only for the key itself: a field of it cannot be absent.
            problem.rule = format!("{}, or \"{absent}\"", problem.rule);
        }
        match value? {
            toml::Value::String(word) => {
                Some(toml::Value::String(self.word(&word, Naming::Wire).to_owned()))
            }
            value => Some(value),
        }
    }
}
