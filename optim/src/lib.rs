//! The inner optimizer of Covey: what turns gradients into new weights.
//!
//! | question | file |
//! |---|---|
//! | Which learning rate at which step? | [`schedule`] |
//! | How far and where does a weight move? | [`adamw`] |
//! | Is this gradient sane, and how much of it counts? | [`gradient`] |
//! | What can go wrong? | [`error`] |
//!
//! The schedule is plain arithmetic. Everything on tensors needs the default feature `burn`; without it this crate
//! builds without Burn, so that schedules (and later the codec of pseudo-gradients) can be had where there is no
//! tensor library.
//!
//! Nothing here reads a clock, draws a random number or depends on the number of threads: the same inputs give the
//! same bits on one CPU core and on many.

#[cfg(feature = "burn")]
pub mod adamw;
#[cfg(feature = "burn")]
mod elements;
pub mod error;
#[cfg(feature = "burn")]
pub mod gradient;
pub mod schedule;
#[cfg(feature = "burn")]
mod update;

#[cfg(feature = "burn")]
pub use adamw::{AdamW, AdamWConfig, AdamWState, Moments};
pub use error::{OptimError, SettingError};
#[cfg(feature = "burn")]
pub use gradient::{clear, clip_scale, global_norm};
pub use schedule::{Anneal, FlatWindow, Rewind, Schedule, Shape};
