//! Defaults that are computed from other keys.

use std::collections::BTreeMap;

use covey_model::config::Precision;

use crate::config::schema::{ConfigKey, Naming};
use crate::system::device::DeviceList;

/// Values that passed the check of their key, by path; keys without a value are missing.
///
/// A derived value may depend on derived values of earlier rows of the table of keys.
#[derive(Clone, Debug, Default)]
pub struct Checked(BTreeMap<&'static str, toml::Value>);

impl Checked {
    pub(crate) fn insert(&mut self, key: &'static str, value: toml::Value) {
        self.0.insert(key, value);
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The serialised form of a config: a table of groups, with wire names.
    pub(crate) fn into_table(self) -> toml::Table {
        let mut groups = toml::Table::new();
        for (path, value) in self.0 {
            let key = ConfigKey::named(path).expect("only keys of the table are inserted");
            let group = groups
                .entry(key.parts().0)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let group = group.as_table_mut().expect("groups are tables");
            group.insert(key.name(Naming::Wire).to_owned(), value);
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

    /// The sum of a count over all items of a list.
    fn total(&self, key: &str, field: &str) -> u64 {
        let items =
            self.0.get(key).and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let counts = items.iter().filter_map(|item| item.get(field)?.as_integer());
        counts.fold(0, |sum: u64, count| sum.saturating_add(u64::try_from(count).unwrap_or(0)))
    }

    /// Steps by which the clock of the schedule advances after the warm-up, over the whole run.
    fn steps_after_warmup(&self) -> u64 {
        let stopped = self
            .total("schedule.flat_windows", "length")
            .saturating_add(self.total("schedule.rewind", "steps"));
        self.count("train.steps")
            .saturating_sub(stopped)
            .saturating_sub(self.count("schedule.warmup_steps"))
    }
}

/// The hidden width divided by the number of heads.
pub(crate) fn head_dim(checked: &Checked) -> toml::Value {
    // Rounded down: a cross-check reports a number of heads that does not divide the width.
    let heads = checked.count("model.num_attention_heads").max(1);
    integer(checked.count("model.hidden_size") / heads)
}

/// The whole batch.
pub(crate) fn micro_batch_size(checked: &Checked) -> toml::Value {
    integer(checked.count("train.batch_size"))
}

/// The fastest number format of the devices.
pub(crate) fn precision(checked: &Checked) -> toml::Value {
    let usual = checked.devices().map_or(Precision::Fp32, |devices| devices.usual_precision());
    let name = match usual {
        Precision::Fp32 => "fp32",
        Precision::Bf16 => "bf16",
    };
    toml::Value::String(name.to_owned())
}

/// A twentieth of the run.
pub(crate) fn warmup_steps(checked: &Checked) -> toml::Value {
    // A ratio and not a number of steps: a run that is cut short with `--steps` still ends its
    // warm-up.
    integer(checked.count("train.steps") / 20)
}

/// The steps for the decay: what warm-up and a written stable phase leave.
pub(crate) fn decay_steps(checked: &Checked) -> toml::Value {
    let rest = checked.steps_after_warmup();
    let steps = match checked.text("schedule.kind") {
        "wsd" if checked.contains("schedule.stable_steps") => {
            rest.saturating_sub(checked.count("schedule.stable_steps"))
        }
        "wsd" => checked.count("train.steps") / 5,
        _ => rest,
    };
    // A decay of 0 steps would divide by zero in the schedule.
    integer(steps.max(1))
}

/// The steps that warm-up and decay leave, for warm-up, stable, decay.
pub(crate) fn stable_steps(checked: &Checked) -> toml::Value {
    match checked.text("schedule.kind") {
        "wsd" => integer(
            checked.steps_after_warmup().saturating_sub(checked.count("schedule.decay_steps")),
        ),
        _ => integer(0),
    }
}

fn integer(count: u64) -> toml::Value {
    toml::Value::Integer(i64::try_from(count).expect("a count derived from TOML fits into TOML"))
}
