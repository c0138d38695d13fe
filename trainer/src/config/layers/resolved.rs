//! From what was said to what is meant: layering, checks, derived values.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::derived::Checked;
use super::document::Layer;
use super::layers::Purpose;
use super::origin::Origin;
use super::value::{ConfigEntry, Value};
use crate::config::checks::{ConfigError, Facts, Problem, Problems, cross_checks};
use crate::config::schema::{Config, ConfigKey, Fallback, KEYS, presets};

/// A checked configuration that remembers where every value came from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What is meant.
    pub config: Config,
    pub(crate) origins: Origins,
}

impl Resolved {
    /// Where the value of the key `path` came from; nothing if it has none.
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.origins.get(path)
    }
}

/// Where the value of every key came from.
pub(crate) type Origins = BTreeMap<&'static str, Origin>;

/// Puts defaults and preset below what was `written` and checks the whole.
pub(crate) fn resolve(
    written: Layer,
    mut problems: Vec<Problem>,
    purpose: Purpose,
) -> Result<Resolved, ConfigError> {
    let (base, preset_known) = base_layer(&written);
    let mut entries = base.clone();
    entries.extend(written);
    leave_shape_to_folder(&mut entries, &mut problems);
    let (checked, broken) = check_entries(&entries, &base, &mut problems);
    let origins = KEYS
        .iter()
        .filter(|key| is_wanted(key, &entries))
        .map(|key| (key.path, origin(key, &entries)))
        .collect();
    let config = meaning(complete(checked, &entries));
    if preset_known {
        let facts = Facts { config: &config, origins: &origins, purpose };
        problems.extend(cross_checks::breaches(&facts, &broken));
    }
    match Problems::sorted(problems) {
        Some(problems) => Err(ConfigError::Problems(problems)),
        None => Ok(Resolved { config, origins }),
    }
}

/// Defaults and preset, and whether the preset that was asked for exists.
fn base_layer(written: &Layer) -> (Layer, bool) {
    let mut base = Layer::new();
    for key in KEYS {
        if let Fallback::Value(text) = key.fallback {
            base.insert(key.path, key.kind.read_text(text, Origin::Default));
        }
    }
    let asked = written.get("model.preset").or_else(|| base.get("model.preset"));
    let asked = asked.and_then(|entry| match &entry.value {
        Value::Text(name) => presets::layer(name),
        _ => None,
    });
    let known = asked.is_some();
    // With a preset that does not exist, any other lets the remaining keys be checked all the same.
    base.extend(asked.or_else(|| presets::layer("tiny")).expect("`tiny` is a preset"));
    (base, known)
}

/// Drops the shape when a folder fixes it; to write one as well is a problem.
fn leave_shape_to_folder(entries: &mut Layer, problems: &mut Vec<Problem>) {
    if !has_folder(entries) {
        return;
    }
    entries.retain(|path, entry| {
        let is_shape = ConfigKey::named(path).is_some_and(ConfigKey::is_shape);
        if is_shape && entry.origin.is_written() {
            let rule = "must be left out, the folder of `model.from` fixes it";
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

/// Whether the key plays a part at all.
fn is_wanted(key: &ConfigKey, entries: &Layer) -> bool {
    !(key.is_shape() && has_folder(entries))
}

fn origin(key: &ConfigKey, entries: &Layer) -> Origin {
    entries.get(key.path).map_or(Origin::Default, |entry| entry.origin.clone())
}

/// The values that pass, and the keys that do not; in place of those stands what the base says.
fn check_entries(
    entries: &Layer,
    base: &Layer,
    problems: &mut Vec<Problem>,
) -> (Checked, BTreeSet<&'static str>) {
    let mut checked = Checked::default();
    let mut broken = BTreeSet::new();
    for key in KEYS {
        let Some(entry) = entries.get(key.path).filter(|entry| !is_absent(key, entry)) else {
            continue;
        };
        let before = problems.len();
        let value = key.check(entry, problems);
        if problems.len() > before {
            broken.insert(key.path);
        }
        let fallback = || base.get(key.path).filter(|entry| !is_absent(key, entry));
        if let Some(value) = value.or_else(|| key.check(fallback()?, &mut Vec::new())) {
            checked.insert(key.path, value);
        }
    }
    (checked, broken)
}

fn is_absent(key: &ConfigKey, entry: &ConfigEntry) -> bool {
    matches!((&entry.value, key.absent), (Value::Text(text), Some(absent)) if text == absent)
}

/// Adds the values that follow from others.
fn complete(mut checked: Checked, entries: &Layer) -> Checked {
    for key in KEYS {
        if let Fallback::Derived { value, .. } = key.fallback
            && !checked.contains(key.path)
            && is_wanted(key, entries)
        {
            checked.insert(key.path, value(&checked));
        }
    }
    checked
}

fn meaning(checked: Checked) -> Config {
    let table = toml::Value::Table(checked.into_table());
    let mut config =
        Config::deserialize(table).expect("values that pass the schema fit the sections");
    if let Some(output) = config.run.output.to_str() {
        config.run.output = output.replace("<name>", &config.run.name).into();
    }
    if let (Some(key), Some(output)) = (config.comms.key.to_str(), config.run.output.to_str()) {
        config.comms.key = key.replace("<output>", output).into();
    }
    config
}

impl ConfigKey {
    /// The value in its plain form, or nothing and more problems.
    fn check(&self, entry: &ConfigEntry, problems: &mut Vec<Problem>) -> Option<toml::Value> {
        let before = problems.len();
        let value = self.kind.check(self.path, entry, problems);
        if let (Some(absent), [problem]) = (self.absent, &mut problems[before..])
            && problem.key == self.path
            && problem.rule.starts_with("must be ")
        {
            problem.rule = format!("{}, or \"{absent}\"", problem.rule);
        }
        value
    }
}
