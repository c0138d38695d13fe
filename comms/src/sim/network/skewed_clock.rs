//! A clock with a constant error.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::primitives::{Clock, Timestamp, VirtualClock};

/// A clock that differs from the true time by a constant.
#[derive(Clone, Debug)]
pub(crate) struct SkewedClock {
    pub(crate) inner: VirtualClock,
    /// In microseconds; negative if the clock is behind.
    pub(crate) ahead: i64,
}

impl SkewedClock {
    /// A clock that is ahead by `fraction` times `most`.
    pub(crate) fn new(inner: VirtualClock, most: Duration, fraction: f64) -> Self {
        Self { inner, ahead: (most.as_micros() as f64 * fraction) as i64 }
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.inner.now().as_micros().saturating_add_signed(self.ahead))
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'static, ()> {
        // `wake` is a time of this clock. Converted back, so durations are not affected by the
        // error.
        self.inner.sleep_until(Timestamp::from_micros(
            wake.as_micros().saturating_add_signed(-self.ahead),
        ))
    }
}
