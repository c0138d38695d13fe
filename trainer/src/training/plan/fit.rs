//! The smallest change of the configuration that makes training fit into memory.

use std::fmt;

use covey_model::config::{ActivationCheckpointing, ModelConfig, Precision};

use super::memory::{MemoryPlan, Needs};

/// Largest number of devices that is proposed. Beyond it, a smaller model is the better advice.
const MOST_DEVICES: usize = 1024;

/// One change of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Set `memory.micro_batches_per_gather`.
    MicroBatchesPerGather(usize),
    /// Set `train.micro_batch_size`.
    MicroBatch(usize),
    /// Set `memory.activation_checkpointing` to `blocks`.
    ActivationCheckpointing,
    /// Set `train.precision` to `bf16`.
    HalfPrecision,
    /// Use this number of devices of the same kind.
    Devices(usize),
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MicroBatchesPerGather(count) => {
                write!(formatter, "`memory.micro_batches_per_gather={count}`")
            }
            Self::MicroBatch(size) => write!(formatter, "`train.micro_batch_size={size}`"),
            Self::ActivationCheckpointing => {
                write!(formatter, "`memory.activation_checkpointing=blocks`")
            }
            Self::HalfPrecision => write!(formatter, "`train.precision=bf16`"),
            Self::Devices(count) => write!(formatter, "{count} such devices"),
        }
    }
}

impl Change {
    fn apply(self, needs: Needs) -> Needs {
        match self {
            Self::MicroBatchesPerGather(micro_batches_per_gather) => {
                Needs { micro_batches_per_gather, ..needs }
            }
            Self::MicroBatch(micro_batch_size) => Needs { micro_batch_size, ..needs },
            Self::ActivationCheckpointing => {
                Needs { activation_checkpointing: ActivationCheckpointing::Every(1), ..needs }
            }
            Self::HalfPrecision => Needs { precision: Precision::Bf16, ..needs },
            Self::Devices(members) => {
                // More devices get fewer sequences each, and a micro-batch cannot exceed them.
                let own = needs.batch_size.div_ceil(members);
                Needs { members, micro_batch_size: needs.micro_batch_size.min(own), ..needs }
            }
        }
    }
}

/// Memory limit of a device, and the changes that are possible there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that each shard may use.
    pub limit: u64,
    /// True if bf16 is fast on these devices.
    pub half: bool,
    /// True if more devices add memory.
    pub more_devices: bool,
}

/// The fewest changes that make `needs` fit into `room`; `None` if there are none.
///
/// Changes are tried from the cheapest in speed to the most expensive: one setting, several
/// settings, more devices, and at last both.
pub fn fit(model: &ModelConfig, needs: Needs, room: Room) -> Option<Vec<Change>> {
    let settings = settings(needs, room.half);
    let alone = settings.iter().map(|change| vec![*change]);
    // Prefixes, because the list is sorted by cost: an expensive setting is useless advice as long
    // as a cheaper one is left out.
    let several = (2..=settings.len()).map(|count| settings[..count].to_vec());
    let most = if room.more_devices { MOST_DEVICES } else { 0 };
    let counts = needs.members + 1..=most;
    let devices = counts.clone().map(|members| vec![Change::Devices(members)]);
    let everything =
        counts.map(|members| [settings.as_slice(), &[Change::Devices(members)]].concat());
    alone
        .chain(several)
        .chain(devices)
        .chain(everything)
        .find(|changes| fits(model, needs, changes, room.limit))
}

fn fits(model: &ModelConfig, needs: Needs, changes: &[Change], limit: u64) -> bool {
    let needs = changes.iter().fold(needs, |needs, change| change.apply(needs));
    MemoryPlan::new(model, needs).is_ok_and(|plan| plan.peak() <= limit)
}

/// The settings that can be changed, cheapest in speed first.
fn settings(needs: Needs, half: bool) -> Vec<Change> {
    let mut changes = Vec::new();
    // Gathers happen more often: a cost on slow links only.
    if needs.micro_batches_per_gather > 1 {
        changes.push(Change::MicroBatchesPerGather(1));
    }
    // A second forward pass through most of each block, at most a third more arithmetic.
    if needs.activation_checkpointing == ActivationCheckpointing::None {
        changes.push(Change::ActivationCheckpointing);
    }
    // Faster on these devices, but it changes the losses.
    if half && needs.precision == Precision::Fp32 {
        changes.push(Change::HalfPrecision);
    }
    // Single sequences leave most devices partly idle.
    if needs.micro_batch_size > 1 {
        changes.push(Change::MicroBatch(1));
    }
    changes
}
