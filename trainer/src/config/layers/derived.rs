//! Defaults that follow from other keys.

use std::collections::BTreeMap;

use covey_model::config::Precision;

use crate::system::device::DeviceList;

/// Values that passed the check of their key, by dotted path; keys without a value are missing.
#[derive(Clone, Debug, Default)]
pub struct Checked(BTreeMap<&'static str, toml::Value>);

impl Checked {
    pub(crate) fn insert(&mut self, key: &'static str, value: toml::Value) {
        self.0.insert(key, value);
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The nested table that the values are the leaves of.
    pub(crate) fn into_table(self) -> toml::Table {
        let mut groups = toml::Table::new();
        for (path, value) in self.0 {
            let (group, name) = path.split_once('.').expect("every key of the table has a group");
            let group =
                groups.entry(group).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            group.as_table_mut().expect("groups hold tables only").insert(name.to_owned(), value);
        }
        groups
    }

    fn count(&self, key: &str) -> u64 {
        let value = self.0.get(key).and_then(toml::Value::as_integer).unwrap_or(0);
        u64::try_from(value).unwrap_or(0)
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(toml::Value::as_str).unwrap_or_default()
    }

    fn devices(&self) -> Option<DeviceList> {
        self.text("run.device").parse().ok()
    }

    /// The sum of one count over all items of a list.
    fn total(&self, key: &str, field: &str) -> u64 {
        let items =
            self.0.get(key).and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let counts = items.iter().filter_map(|item| item.get(field)?.as_integer());
        counts.fold(0, |sum: u64, count| sum.saturating_add(u64::try_from(count).unwrap_or(0)))
    }

    /// Steps by which the clock of the schedule moves on over the whole run, after the warm-up.
    fn steps_after_warmup(&self) -> u64 {
        let stopped = self
            .total("schedule.flat_windows", "length")
            .saturating_add(self.total("schedule.rewind", "steps"));
        self.count("train.steps")
            .saturating_sub(stopped)
            .saturating_sub(self.count("schedule.warmup_steps"))
    }
}

/// Heads that share the hidden width out between them.
///
/// Heads that do not divide it are reported by a relation of their own.
pub(crate) fn head_dim(checked: &Checked) -> toml::Value {
    let heads = checked.count("model.num_attention_heads").max(1);
    integer(checked.count("model.hidden_size") / heads)
}

/// The whole batch at once.
pub(crate) fn micro_batch_size(checked: &Checked) -> toml::Value {
    integer(checked.count("train.batch_size"))
}

/// The numbers that the devices are fastest in.
pub(crate) fn precision(checked: &Checked) -> toml::Value {
    let usual = checked.devices().map_or(Precision::Fp32, |devices| devices.usual_precision());
    let name = match usual {
        Precision::Fp32 => "fp32",
        Precision::Bf16 => "bf16",
    };
    toml::Value::String(name.to_owned())
}

/// A twentieth of the run: long enough to be gentle, and never longer than a shortened run.
pub(crate) fn warmup_steps(checked: &Checked) -> toml::Value {
    integer(checked.count("train.steps") / 20)
}

/// What is left for the decay once warm-up and a stable part that was asked for are over.
pub(crate) fn decay_steps(checked: &Checked) -> toml::Value {
    let rest = checked.steps_after_warmup();
    let steps = match checked.text("schedule.kind") {
        "wsd" if checked.contains("schedule.stable_steps") => {
            rest.saturating_sub(checked.count("schedule.stable_steps"))
        }
        "wsd" => checked.count("train.steps") / 5,
        _ => rest,
    };
    integer(steps.max(1))
}

/// Whatever warm-up and decay leave of a warm-up-stable-decay run.
pub(crate) fn stable_steps(checked: &Checked) -> toml::Value {
    match checked.text("schedule.kind") {
        "wsd" => integer(
            checked.steps_after_warmup().saturating_sub(checked.count("schedule.decay_steps")),
        ),
        _ => integer(0),
    }
}

fn integer(count: u64) -> toml::Value {
    toml::Value::Integer(
        i64::try_from(count).expect("derived counts are no larger than what TOML could hold"),
    )
}
