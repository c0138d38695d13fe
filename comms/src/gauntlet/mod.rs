//! The Gauntlet: which deltas of a round are included, and how peers are rated. Pure functions of numbers.

pub mod checks;
pub mod conduct;
mod config;
mod judge;
mod observations;
mod payouts;
pub mod scoring;
mod selection;
mod shortlist;
pub mod verdict;

pub use self::config::GauntletConfig;
pub use self::judge::{Gauntlet, RoundOutcome};
pub use self::observations::{ActivePeer, Observations, Participation};
pub use self::payouts::{PayoutConfig, PayoutRule};
pub use self::shortlist::Shortlist;
