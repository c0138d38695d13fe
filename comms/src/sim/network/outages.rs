//! When something is not there.

use std::time::Duration;

use crate::primitives::{SeededRng, Timestamp};

/// How often and how long something is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outages {
    /// The mean time from the end of one outage to the beginning of the next; zero means that there are none.
    pub mean_between: Duration,
    /// The longest outage; they are evenly long from zero to this.
    pub longest: Duration,
}

impl Outages {
    /// Always there.
    pub const NEVER: Self = Self { mean_between: Duration::ZERO, longest: Duration::ZERO };

    /// The outages from `start` on, each from its beginning to its end.
    pub(crate) fn after(
        self,
        start: Timestamp,
        mut dice: SeededRng,
    ) -> impl Iterator<Item = (Timestamp, Timestamp)> + Send {
        let mut free = start;
        let outage = move || {
            let begin = free + self.mean_between.mul_f64(2.0 * dice.fraction());
            free = begin + self.longest.mul_f64(dice.fraction());
            (!self.mean_between.is_zero()).then_some((begin, free))
        };
        std::iter::from_fn(outage)
    }
}
