//! How long training has taken, and how fast it is.

use std::time::{Duration, Instant};

/// Time and tokens behind the run's figures.
pub(super) struct RunClock {
    before: Duration,
    start: Instant,
    /// Time and tokens at the last report.
    last: (Instant, u64),
}

impl RunClock {
    pub(super) fn new(before: Duration, tokens: u64) -> Self {
        let start = Instant::now();
        Self { before, start, last: (start, tokens) }
    }

    /// Time spent training, over all starts.
    pub(super) fn elapsed(&self) -> Duration {
        self.before + self.start.elapsed()
    }

    pub(super) fn tokens_per_second(&self, tokens: u64) -> f64 {
        let (time, before) = self.last;
        (tokens - before) as f64 / time.elapsed().as_secs_f64().max(1e-9)
    }

    /// Begins the next interval.
    pub(super) fn report(&mut self, tokens: u64) {
        self.last = (Instant::now(), tokens);
    }

    /// Leaves `pause` out of the interval: measuring is not training and must not make training look slow.
    pub(super) fn leave_out(&mut self, pause: Duration) {
        self.last.0 += pause;
    }
}
