//! Honest peers and cheats in one run, over the real protocol: what cheating does to the model and to those who cheat.
//!
//! Peers learn a linear regression on windows of data that are assigned to them, send the largest changes of each chunk of
//! weights, and are judged by the real validators. All actors share one bucket without faults
//! and one virtual clock, so a contest always goes the same way.

mod cheat;
mod delta;
mod peer;
mod record;
mod regression;
mod scales;
mod stage;

pub use cheat::{Cheat, Disguise};
pub use record::{Record, Round as RecordedRound};
pub use stage::{Contest, ContestError};
