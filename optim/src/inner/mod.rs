//! The inner optimizer: AdamW, gradient clipping, and learning-rate schedules.

#[cfg(feature = "burn")]
mod adamw;
#[cfg(feature = "burn")]
mod clip;
#[cfg(feature = "burn")]
mod cpu;
#[cfg(feature = "burn")]
pub(crate) mod cpu_tensor;
#[cfg(feature = "cube")]
mod cube;
mod schedule;
#[cfg(feature = "burn")]
mod state;

#[cfg(feature = "burn")]
pub use self::adamw::{AdamW, AdamWConfig, AdamWState};
#[cfg(feature = "burn")]
pub use self::clip::{clear, clip_scale, global_norm};
pub use self::schedule::{Anneal, FlatWindow, Rewind, Schedule, ScheduleShape};
#[cfg(feature = "burn")]
pub use self::state::Moments;
#[cfg(feature = "burn")]
pub(crate) use self::state::{MomentTensors, tensor, values};
