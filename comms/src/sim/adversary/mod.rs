//! Honest peers against attacks, over the real protocol, on a toy regression problem.
//!
//! A [`Contest`] measures what an attack gains in payouts and what harm it does to the loss. Only
//! the learning problem and the network are simulated; bucket, validators, Gauntlet and manifests
//! are those of real runs. Attacks never use more than a real dishonest peer has: its key, the
//! bucket, and deals with other peers. Start with [`Contest::play`].
//!
//! ```rust
//! use covey_comms::sim::adversary::{Attack, Contest};
//!
//! // A short contest: three honest peers against one that sends noise.
//! let contest = Contest::with(vec![Attack::Noise], 1);
//! let report = Contest { rounds: 3, honest: 3, ..contest }.play()?;
//! assert_eq!((report.rounds.len(), report.attackers.len()), (2, 1));
//! # Ok::<(), covey_comms::sim::adversary::ContestError>(())
//! ```

mod arena;
mod attack;
mod contest;
mod delta;
mod evaluator;
mod peer;
mod record;
mod regression;
mod validator;

pub use self::attack::{Attack, Evasion};
pub use self::contest::{Contest, ContestError};
pub use self::record::{ContestReport, ContestRound};
