//! Honest peers against attacks over the real protocol, on a toy regression problem.

mod arena;
mod attack;
mod delta;
mod evaluator;
mod peer;
mod record;
mod regression;

pub use self::arena::{Contest, ContestError};
pub use self::attack::{Attack, Evasion};
pub use self::record::{ContestReport, ContestRound};
