//! The clock as an argument: in tests and simulations, waiting takes no time.

use std::fmt::Debug;
use std::future::Future;
use std::ops::Add;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use futures_util::future::{BoxFuture, Either, select};

/// A point in time, in microseconds since the start of 1970 (UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The point in time after a number of microseconds since the start of 1970.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the start of 1970.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time since `earlier`, or zero if that is later.
    pub const fn since(self, earlier: Self) -> Duration {
        // Saturating, because the clocks of two machines disagree and system clocks are set back.
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the largest value.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A source of the time on which tasks can sleep.
pub trait Clock: Debug + Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// Completes once the clock shows `wake` or later.
    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'static, ()>;
}

/// The output of `future`, or `None` if it takes longer than `limit`; it is then dropped.
pub async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let alarm = clock.sleep_until(clock.now() + limit);
    match select(pin!(future), alarm).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// The clock of this machine. Sleeping on it needs a Tokio runtime with timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The longest sleep before the clock is read again.
    ///
    /// Timers stop while a laptop is suspended, but the time of day does not. After a wake-up a
    /// task is at most this late.
    const MAX_NAP: Duration = Duration::from_secs(5);
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A system clock before 1970 counts as 1970.
        Timestamp::default() + SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                match wake.since(Self.now()) {
                    Duration::ZERO => return,
                    left => tokio::time::sleep(left.min(Self::MAX_NAP)).await,
                }
            }
        })
    }
}
