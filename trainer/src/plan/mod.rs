//! What a configuration needs, before any of it is spent: memory of every device, time of a step, bytes of a round.
//!
//! The same arithmetic answers `covey plan` and refuses a run that would not fit, so that nobody finds out an hour later.

mod exchange;
mod memory;
mod remedy;
mod step_time;

pub use exchange::{ExchangePlan, Link};
pub use memory::{HostMemory, MemberMemory, MemoryPlan, Needs};
pub use remedy::{Change, Room, remedy};
pub use step_time::{Speeds, StepTime};
