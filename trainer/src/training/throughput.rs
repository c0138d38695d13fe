//! Elapsed time and speed of a run.

use std::time::{Duration, Instant};

/// A clock for the elapsed time of a run, over all restarts, and its tokens per second.
pub(super) struct RunClock {
    before: Duration,
    start: Instant,
    /// Time and number of tokens at the last report.
    last: (Instant, u64),
}

impl RunClock {
    pub(super) fn new(before: Duration, tokens: u64) -> Self {
        let start = Instant::now();
        Self { before, start, last: (start, tokens) }
    }

    /// Time spent in training, summed over all restarts.
    pub(super) fn elapsed(&self) -> Duration {
        self.before + self.start.elapsed()
    }

    /// Average speed since the last report.
    pub(super) fn tokens_per_second(&self, tokens: u64) -> f64 {
        let (time, before) = self.last;
        // The first call can come within the resolution of the clock.
        (tokens - before) as f64 / time.elapsed().as_secs_f64().max(1e-9)
    }

    /// Starts the next interval for the speed.
    pub(super) fn report(&mut self, tokens: u64) {
        self.last = (Instant::now(), tokens);
    }

    /// Excludes `pause`, the time of an evaluation, from the speed.
    pub(super) fn exclude(&mut self, pause: Duration) {
        self.last.0 += pause;
    }
}
