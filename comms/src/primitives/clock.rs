//! Time as an argument: everything that waits asks a clock, so that tests and simulations need not.

use std::fmt::Debug;
use std::future::Future;
use std::ops::Add;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use futures_util::future::{BoxFuture, Either, select};

/// An instant, in microseconds since the beginning of 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant a number of microseconds after the beginning of 1970.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the beginning of 1970.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time that has passed since `earlier`, or none if that is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Stays at the end of time rather than wrap.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Tells the time and wakes sleepers.
pub trait Clock: Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Completes once the clock shows `wake` or later.
    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'static, ()>;
}

/// What `future` gives, unless that takes longer than `limit`; then it is dropped.
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

/// The clock of the machine; sleeping on it needs a Tokio runtime with timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The longest time that passes before a sleeper looks at the clock again: timers stand still while a laptop is
    /// suspended, the time of day does not.
    const LONGEST_NAP: Duration = Duration::from_secs(5);
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::default() + SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                match wake.since(Self.now()) {
                    Duration::ZERO => return,
                    left => tokio::time::sleep(left.min(Self::LONGEST_NAP)).await,
                }
            }
        })
    }
}
