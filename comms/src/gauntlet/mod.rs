//! The Gauntlet: the rules that score deltas, select those that are included, and pay peers.
//!
//! Every function here is pure fp64 arithmetic in a fixed order, so all validators and every reader
//! compute the same bits from the same [`Observations`]. The folder never reads a clock, a bucket
//! or a platform's `exp`; logarithms, powers and exponentials come from `libm`. `docs/gauntlet.md`
//! specifies the steps. Start with [`Gauntlet::judge`], which runs all of them.
//!
//! ```rust
//! use covey_comms::gauntlet::{Gauntlet, GauntletConfig};
//! use covey_comms::primitives::PeerId;
//!
//! // At most 20 deltas per round, published constants.
//! let gauntlet = Gauntlet::new(GauntletConfig::default(), 20);
//! let scores = (1..4_u8).map(|number| (PeerId::from_bytes([number; 32]), f64::from(number)));
//! let payouts = gauntlet.payouts(&scores.collect());
//!
//! // Half of the reward is burnt; the best peer gets twice as much as the last.
//! let paid: f64 = payouts.values().sum();
//! assert!((paid - 0.5).abs() < 1e-12);
//! let shares: Vec<f64> = payouts.into_values().collect();
//! assert!((shares[2] / shares[0] - 2.0).abs() < 1e-12);
//! ```

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

pub use self::config::{
    GauntletConfig, PayoutConfig, PayoutRule, PenaltyConfig, RatingConfig, SimilarityConfig,
};
pub use self::judge::{Gauntlet, RoundOutcome};
pub use self::observations::{ActivePeer, Observations, Participation};
pub use self::shortlist::Shortlist;
