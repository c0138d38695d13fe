//! The secret seed of a round's random draws, committed first and revealed later.

mod seed;

pub use self::seed::{RoundSecret, Seed};
