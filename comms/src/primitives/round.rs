//! The number of a round.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One exchange of deltas and one outer step of a run, counted from zero.
///
/// Four bytes on the wire, enough for a round each second for 136 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Round(pub u32);

impl Round {
    /// The first round of every run, which starts from the genesis weights.
    pub const FIRST: Self = Self(0);

    /// The next round, or `None` after the largest number.
    pub fn next(self) -> Option<Self> {
        // A round number can come from another machine, so no value may overflow.
        self.0.checked_add(1).map(Self)
    }

    /// The previous round, or `None` for the first.
    pub fn before(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "round {}", self.0)
    }
}
