//! The inner optimizer of a peer: AdamW, gradient clipping, and learning-rate schedules.
//!
//! The folder never reads configuration files and never talks to peers. Tensors are flat and in
//! fp32; shapes are the caller's business.
//!
//! Start with `adamw` (formula and state), then `cpu` (the arithmetic) and [`Schedule`]. AdamW and
//! clipping need the feature `burn`; schedules do not.
//!
//! ```rust
//! use covey_optim::inner::{Schedule, ScheduleShape};
//!
//! let schedule = Schedule {
//!     shape: ScheduleShape::Cosine { decay_steps: 900, final_ratio: 0.1 },
//!     warmup_steps: 100,
//!     ..Schedule::constant(3e-4)
//! };
//! assert!(schedule.check().is_empty());
//! assert_eq!(schedule.learning_rate(50), 1.5e-4);
//! assert_eq!(schedule.learning_rate(100), 3e-4);
//! assert!((schedule.learning_rate(1000) - 3e-5).abs() < 1e-12);
//! ```

#[cfg(feature = "burn")]
mod adamw;
#[cfg(feature = "burn")]
mod clip;
#[cfg(feature = "burn")]
mod config;
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
pub use self::adamw::{AdamW, AdamWState};
#[cfg(feature = "burn")]
pub use self::clip::{clear, clip_scale, global_norm};
#[cfg(feature = "burn")]
pub use self::config::AdamWConfig;
pub use self::schedule::{Anneal, FlatWindow, Rewind, Schedule, ScheduleShape};
#[cfg(feature = "burn")]
pub use self::state::Moments;
#[cfg(feature = "burn")]
pub(crate) use self::state::{MomentTensors, tensor, values};
