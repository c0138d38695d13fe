//! The number of a round.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One step of the whole run, counted from zero.
///
/// Four bytes on the wire: a round each second would last for 136 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Round(pub u32);

impl Round {
    /// The first round of every run, played from the genesis weights.
    pub const FIRST: Self = Self(0);

    /// The round after this one, unless numbers have run out.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// The round before this one, unless this is the first.
    pub fn before(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "round {}", self.0)
    }
}
