//! Estimates of memory and time before training starts.
//!
//! `covey plan` prints them, and training uses the memory estimate to reject a model that does not
//! fit. This folder allocates nothing and measures nothing: all numbers follow from the
//! configuration. Start with [`MemoryPlan`]; [`fit`] proposes changes if the plan exceeds the
//! limit.
//!
//! ```
//! use covey::config::layers::{Layers, Purpose};
//! use covey::training::plan::{MemoryPlan, Needs};
//! use covey_model::config::preset;
//!
//! let model = preset("8b").expect("a built-in preset");
//! let config = Layers::new().resolve(Purpose::Show)?.config;
//! let devices = "cuda:0-7".parse().expect("eight GPUs");
//! let plan = MemoryPlan::new(&model, Needs::of(&config, &devices))?;
//! // Weights, gradients and two moments in fp32: 16 bytes per parameter, divided among 8 GPUs.
//! let even = 2 * model.num_parameters();
//! assert!(plan.members[0].persistent().abs_diff(even) < even / 50);
//! # Ok::<(), covey::system::error::Failure>(())
//! ```

mod fit;
mod memory;
mod round_time;
mod shard_plan;
mod step_time;

pub use self::fit::{Change, Room, fit};
pub use self::memory::{DeviceMemory, HostMemory, MemoryPlan, Needs};
pub use self::round_time::{ExchangePlan, LinkSpeed};
pub use self::shard_plan::plan;
pub(crate) use self::shard_plan::{micro_batches, together};
pub use self::step_time::{Speeds, StepTime};
