//! Random outages of a link or a process.

use std::time::Duration;

use crate::primitives::{SeededRng, Timestamp};

/// The frequency and the length of outages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outages {
    /// The mean time from the end of an outage to the start of the next; zero means no outages.
    pub mean_between: Duration,
    /// The longest outage. Lengths are distributed evenly from zero to this.
    pub longest: Duration,
}

impl Outages {
    /// No outages.
    pub const NEVER: Self = Self { mean_between: Duration::ZERO, longest: Duration::ZERO };

    /// All outages from `start` on, each as its start and end.
    pub(crate) fn after(
        self,
        start: Timestamp,
        mut rng: SeededRng,
    ) -> impl Iterator<Item = (Timestamp, Timestamp)> + Send {
        let mut end = start;
        std::iter::from_fn(move || {
            // Evenly from zero to twice the mean, which has that mean and never waits for long.
            let begin = end + self.mean_between.mul_f64(2.0 * rng.fraction());
            end = begin + self.longest.mul_f64(rng.fraction());
            (!self.mean_between.is_zero()).then_some((begin, end))
        })
    }
}
