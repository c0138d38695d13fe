//! What a configuration needs in memory and time, and what would make it fit.

mod fit;
mod memory;
mod round_time;
mod shard_plan;
mod step_time;

pub use self::fit::{Change, Room, fit};
pub use self::memory::{HostMemory, MemberMemory, MemoryPlan, Needs};
pub use self::round_time::{ExchangePlan, Link};
pub use self::shard_plan::plan;
pub(crate) use self::shard_plan::{micro_batches, together};
pub use self::step_time::{Speeds, StepTime};
