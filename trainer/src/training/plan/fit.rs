//! The smallest change of the configuration that makes it fit.

use std::fmt;

use covey_model::config::{ActivationCheckpointing, ModelConfig, Precision};

use super::memory::{MemoryPlan, Needs};

/// Devices at most that are proposed; beyond it another network is the better advice.
const MOST_DEVICES: usize = 1024;

/// One key to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `memory.gather_for`.
    GatherFor(usize),
    /// `train.micro_batch_size`.
    MicroBatch(usize),
    /// `memory.recompute`.
    ActivationCheckpointing,
    /// `train.precision`.
    HalfPrecision,
    /// So many devices like these.
    Devices(usize),
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GatherFor(count) => write!(formatter, "`memory.gather_for={count}`"),
            Self::MicroBatch(size) => write!(formatter, "`train.micro_batch_size={size}`"),
            Self::ActivationCheckpointing => write!(formatter, "`memory.recompute=blocks`"),
            Self::HalfPrecision => write!(formatter, "`train.precision=bf16`"),
            Self::Devices(count) => write!(formatter, "{count} such devices"),
        }
    }
}

impl Change {
    fn apply(self, needs: Needs) -> Needs {
        match self {
            Self::GatherFor(gather_for) => Needs { gather_for, ..needs },
            Self::MicroBatch(micro_batch_size) => Needs { micro_batch_size, ..needs },
            Self::ActivationCheckpointing => {
                Needs { recompute: ActivationCheckpointing::Every(1), ..needs }
            }
            Self::HalfPrecision => Needs { precision: Precision::Bf16, ..needs },
            Self::Devices(members) => {
                let own = needs.batch_size.div_ceil(members);
                Needs { members, micro_batch_size: needs.micro_batch_size.min(own), ..needs }
            }
        }
    }
}

/// What there is room for, and what may be changed to stay within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that each member may hold.
    pub limit: u64,
    /// Whether bf16 is fast on the devices.
    pub half: bool,
    /// Whether there could be more of them.
    pub more_devices: bool,
}

/// The fewest keys whose change makes `needs` fit into `room`; nothing if none does.
///
/// Those that cost the least speed are tried first, and more devices only when nothing else is left.
pub fn fit(model: &ModelConfig, needs: Needs, room: Room) -> Option<Vec<Change>> {
    let fits = |changes: &Vec<Change>| {
        let needs = changes.iter().fold(needs, |needs, change| change.apply(needs));
        MemoryPlan::new(model, needs).is_ok_and(|plan| plan.peak() <= room.limit)
    };
    let settings = settings(needs, room.half);
    let alone = settings.iter().map(|change| vec![*change]);
    let several = (2..=settings.len()).map(|count| settings[..count].to_vec());
    let counts = || (needs.members + 1..=MOST_DEVICES).filter(|_| room.more_devices);
    let devices = counts().map(|members| vec![Change::Devices(members)]);
    let everything =
        counts().map(|members| [settings.as_slice(), &[Change::Devices(members)]].concat());
    alone.chain(several).chain(devices).chain(everything).find(fits)
}

/// What can be changed on these devices, cheapest first.
fn settings(needs: Needs, half: bool) -> Vec<Change> {
    let mut changes = Vec::new();
    if needs.gather_for > 1 {
        changes.push(Change::GatherFor(1));
    }
    if needs.recompute == ActivationCheckpointing::None {
        changes.push(Change::ActivationCheckpointing);
    }
    if half && needs.precision == Precision::Fp32 {
        changes.push(Change::HalfPrecision);
    }
    if needs.micro_batch_size > 1 {
        changes.push(Change::MicroBatch(1));
    }
    changes
}
