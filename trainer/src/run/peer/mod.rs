//! A peer of a distributed run: its rounds, and its checkpoints on disk.
//!
//! The peer publishes through `covey_comms::participants` and does not score other peers. Start
//! with [`RoundLoop`]; [`PeerSetup`] is its input.

mod exchange;
mod inner_phase;
mod overlap;
mod recorder;
mod resume_state;
mod round_loop;
mod round_metrics;
mod start;

pub use self::resume_state::{Kept, Resumed};
pub use self::round_loop::{RoundLoop, RunEnd};
pub use self::start::PeerSetup;
