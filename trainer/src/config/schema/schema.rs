//! The type of a configuration key, and the groups of keys.

use super::keys::KEYS;
use super::value_type::{Field, ValueType};
use crate::config::layers::Checked;

/// A configuration key: its type, default, unit, scope and meaning.
///
/// A key belongs to the machine unless its row calls `.of_run()`. A key that is added without a
/// thought about its scope is therefore never read from the config of a run that a machine joins.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// Dotted path, such as `train.steps`.
    pub path: &'static str,
    /// The name within the group until the previous release. It is still read, with a note that
    /// gives the new name; it is also the name on the wire.
    pub formerly: Option<&'static str>,
    /// The party that sets the key in a distributed run.
    pub scope: KeyScope,
    /// Type and range of the value.
    pub kind: ValueType,
    /// The word for "no value", if the key can have none: `none`, or `auto` for a computed value.
    pub absent: Option<&'static str>,
    /// A word of earlier releases and the word that replaced it. Both are read.
    pub replaced_word: Option<(&'static str, &'static str)>,
    /// The value if no layer sets the key.
    pub fallback: Fallback,
    /// The unit; empty for pure numbers.
    pub unit: &'static str,
    /// The meaning, in one line.
    pub doc: &'static str,
}

/// The party that sets a key in a distributed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// Each machine. The config of a run does not contain the key; if it does, it is ignored.
    Machine,
    /// The run, with one value for all peers and validators.
    Run,
}

/// The value of a key that neither preset, file, variable nor command line sets.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// A constant, written as on the command line.
    Value(&'static str),
    /// The value of the preset; every preset has one.
    Preset,
    /// Computed from other keys.
    Derived {
        /// The rule in words.
        doc: &'static str,
        /// The rule.
        value: fn(&Checked) -> toml::Value,
    },
}

/// The names that a document uses for keys, fields and words.
///
/// They differ where a key was renamed. [`Config`](super::Config) serialises with wire names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The names of this release, for users.
    Current,
    /// The names in the config of a run. Its digest is part of the run ID, so these names change
    /// only with the version of the run description.
    Wire,
}

impl ConfigKey {
    /// The key with this path, under its current name.
    pub fn named(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.path == path)
    }

    /// The key with this path under its current or former name, and whether the name is former.
    pub fn named_ever(path: &str) -> Option<(&'static Self, bool)> {
        let current = Self::named(path).map(|key| (key, false));
        // A current name wins. A test makes sure that no key has the former name of another.
        current.or_else(|| {
            let former = KEYS.iter().find(|key| key.former_path().as_deref() == Some(path))?;
            Some((former, true))
        })
    }

    // Paths have exactly one dot: a file has groups, and groups have keys.
    /// The group and the name within it, such as `("train", "steps")`.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.path.split_once('.').expect("every key of the table has a group")
    }

    /// The path under the former name.
    pub fn former_path(&self) -> Option<String> {
        self.formerly.map(|name| format!("{}.{name}", self.parts().0))
    }

    /// The environment variable that sets the key, such as `COVEY_TRAIN__STEPS`.
    pub fn variable(&self) -> String {
        variable(self.path)
    }

    /// Returns true if a distributed run fixes the key for all peers.
    pub fn is_of_run(&self) -> bool {
        self.scope == KeyScope::Run
    }

    /// Returns true if the key is part of the shape of the network.
    pub(crate) fn is_shape(&self) -> bool {
        self.path.starts_with("model.") && !matches!(self.path, "model.preset" | "model.from")
    }

    /// The name within the group.
    pub(crate) fn name(&self, naming: Naming) -> &'static str {
        match (naming, self.formerly) {
            (Naming::Wire, Some(former)) => former,
            _ => self.parts().1,
        }
    }

    /// `word` as `naming` spells it; words that were never replaced stay.
    pub(crate) fn word<'a>(&self, word: &'a str, naming: Naming) -> &'a str {
        match (naming, self.replaced_word) {
            (Naming::Current, Some((old, new))) if word == old => new,
            (Naming::Wire, Some((old, new))) if word == new => old,
            _ => word,
        }
    }
}

/// Rows of the table of keys: a key of the machine, refined by the methods below.
pub(super) const fn key(path: &'static str, kind: ValueType, fallback: Fallback) -> ConfigKey {
    ConfigKey {
        path,
        formerly: None,
        scope: KeyScope::Machine,
        kind,
        absent: None,
        replaced_word: None,
        fallback,
        unit: "",
        doc: "",
    }
}

impl ConfigKey {
    // Names of rows read as sentences: `key(...).formerly("takeover").of_run()`.
    pub(super) const fn of_run(self) -> Self {
        Self { scope: KeyScope::Run, ..self }
    }

    pub(super) const fn formerly(self, name: &'static str) -> Self {
        Self { formerly: Some(name), ..self }
    }

    pub(super) const fn or(self, absent: &'static str) -> Self {
        Self { absent: Some(absent), ..self }
    }

    pub(super) const fn word_was(self, old: &'static str, new: &'static str) -> Self {
        Self { replaced_word: Some((old, new)), ..self }
    }

    pub(super) const fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    pub(super) const fn doc(self, doc: &'static str) -> Self {
        Self { doc, ..self }
    }
}

/// The environment variable for a path.
pub(crate) fn variable(path: &str) -> String {
    // Two underscores for the dot, since names contain single ones.
    format!("COVEY_{}", path.replace('.', "__").to_uppercase())
}

/// The path of a key, or of a field of a key, from the names on the wire.
///
/// `gauntlet.penalties.network` becomes `gauntlet.penalties.min_delivery_share`. An unknown path
/// stays as it is.
pub(crate) fn current_path(wire_path: &str) -> String {
    // Group, key, and the field of a record, if any; records are not nested.
    let mut names = wire_path.splitn(3, '.');
    let (group, name) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    let mut members = KEYS.iter().filter(|key| key.parts().0 == group);
    let Some(key) = members.find(|key| key.name(Naming::Wire) == name) else {
        return wire_path.to_owned();
    };
    match names.next() {
        Some(field) => format!("{}.{}", key.path, current_field(key.kind.fields(), field)),
        None => key.path.to_owned(),
    }
}

fn current_field<'a>(fields: &[Field], wire_name: &'a str) -> &'a str {
    let field = fields.iter().find(|field| field.name(Naming::Wire) == wire_name);
    field.map_or(wire_name, |field| field.name)
}

/// The groups in order, each with its subject.
pub static GROUPS: &[(&str, &str)] = &[
    ("run", "The run: its name and seed, and the output folder and devices of this machine."),
    (
        "model",
        "The network. A preset sets a shape and matching training defaults; single keys override \
         it.",
    ),
    ("data", "The training data."),
    ("train", "The training loop."),
    ("memory", "Memory of the devices: activation checkpointing, gathering and offloading."),
    ("optim", "AdamW with decoupled weight decay."),
    ("schedule", "The learning rate over the run, as a ratio of `optim.learning_rate`."),
    ("checkpoint", "Checkpoints on disk, from which training can be resumed."),
    ("rounds", "Distributed runs: the course of a round."),
    ("gauntlet", "Distributed runs: how validators score and select deltas."),
    ("sparseloco", "Distributed runs: compression of deltas, and the outer step."),
    ("comms", "Distributed runs: how this machine uses the bucket."),
];
