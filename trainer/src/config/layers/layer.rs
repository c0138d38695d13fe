//! One layer of the configuration: the values from one place, under the current names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::origin::Origin;
use super::value::{ConfigEntry, Value};
use crate::config::checks::Problem;
use crate::config::schema::{ConfigKey, Field, Naming, ValueType, variable};

/// The values from one place, by the current path of the key; only keys that exist.
pub(crate) type Layer = BTreeMap<&'static str, ConfigEntry>;

/// Problems and former names, found while layers were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    pub(crate) renamed: Vec<RenamedKey>,
}

impl Findings {
    /// Returns true if there is neither a problem nor a former name.
    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty() && self.renamed.is_empty()
    }
}

/// A key or field that was set under its former name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenamedKey {
    /// The place that set it.
    pub origin: Origin,
    /// The former path.
    pub former: String,
    /// The current path.
    pub current: String,
}

impl fmt::Display for RenamedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = spelling(&self.current, &self.origin);
        match &self.origin {
            // The name of the variable is the place already.
            Origin::Environment(name) if current != self.current => {
                write!(formatter, "`{name}` is now `{current}`")?;
            }
            origin => write!(formatter, "`{}` is now `{current}` ({origin})", self.former)?,
        }
        formatter.write_str("; the next release will not accept the former name")
    }
}

/// Collects a layer, and replaces former names and words by the current ones.
///
/// The same key under both names in one layer is a problem: neither value is later than the other.
/// Between layers there is an order, so an old file works with a new `--set`.
pub(crate) struct LayerBuilder<'a> {
    layer: Layer,
    /// The keys of the layer that were set under their former name.
    former: BTreeSet<&'static str>,
    findings: &'a mut Findings,
}

impl<'a> LayerBuilder<'a> {
    pub(crate) fn new(findings: &'a mut Findings) -> Self {
        Self { layer: Layer::new(), former: BTreeSet::new(), findings }
    }

    pub(crate) fn finish(self) -> Layer {
        self.layer
    }

    pub(crate) fn problem(&mut self, problem: Problem) {
        self.findings.problems.push(problem);
    }

    /// Sets a key; `is_former` if it was written under its former name.
    ///
    /// Of several values for one name, the last counts.
    pub(crate) fn insert(&mut self, key: &'static ConfigKey, is_former: bool, entry: ConfigEntry) {
        let entry = self.under_current_names(key, entry);
        if let Some(former) = key.former_path().filter(|_| is_former) {
            let renamed = renamed(&entry.origin, &former, key.path);
            self.findings.renamed.push(renamed);
        }
        if let Some(earlier) = self.layer.get(key.path)
            && self.former.contains(key.path) != is_former
        {
            let former = if is_former { &entry } else { earlier };
            let path = key.former_path().unwrap_or_default();
            self.findings.problems.push(both_names(former, &path, key.path));
        }
        if is_former {
            self.former.insert(key.path);
        }
        // After a conflict as well: the value is checked, and its problems are reported together.
        self.layer.insert(key.path, entry);
    }

    fn under_current_names(&mut self, key: &ConfigKey, mut entry: ConfigEntry) -> ConfigEntry {
        match &mut entry.value {
            // Without a note: former words stay accepted, only former names will go.
            Value::Text(word) => *word = key.word(word, Naming::Current).to_owned(),
            Value::Record(given) => self.rename_fields(key.kind, key.path, given),
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if let Value::Record(given) = &mut item.value {
                        self.rename_fields(key.kind, &format!("{}[{index}]", key.path), given);
                    }
                }
            }
            _ => {}
        }
        entry
    }

    fn rename_fields(
        &mut self,
        kind: ValueType,
        path: &str,
        given: &mut Vec<(String, ConfigEntry)>,
    ) {
        for field in kind.fields() {
            if let Some(former) = field.formerly {
                self.rename_field(field, former, path, given);
            }
        }
    }

    fn rename_field(
        &mut self,
        field: &Field,
        former: &str,
        path: &str,
        given: &mut Vec<(String, ConfigEntry)>,
    ) {
        let is_current_set = given.iter().any(|(name, _)| name == field.name);
        let Some(index) = given.iter().position(|(name, _)| name == former) else { return };
        let (former, current) = (format!("{path}.{former}"), format!("{path}.{}", field.name));
        if is_current_set {
            // Removed, or the check of the record would call it unknown as well.
            let (_, entry) = given.remove(index);
            self.findings.problems.push(both_names(&entry, &former, &current));
        } else if let Some((name, entry)) = given.get_mut(index) {
            self.findings.renamed.push(renamed(&entry.origin, &former, &current));
            *name = field.name.to_owned();
        }
    }
}

fn renamed(origin: &Origin, former: &str, current: &str) -> RenamedKey {
    RenamedKey { origin: origin.clone(), former: former.to_owned(), current: current.to_owned() }
}

fn both_names(former: &ConfigEntry, path: &str, current: &str) -> Problem {
    let current = spelling(current, &former.origin);
    let rule = format!("is the former name of `{current}`, which is also set");
    Problem::new(&former.origin, path, &former.value, rule)
}

/// A path as the place at `origin` spells it: variables have their own spelling.
pub(crate) fn spelling(path: &str, origin: &Origin) -> String {
    match origin {
        // The variable of a record holds its fields, so a field keeps its path.
        Origin::Environment(_) if ConfigKey::named(path).is_some() => variable(path),
        _ => path.to_owned(),
    }
}
