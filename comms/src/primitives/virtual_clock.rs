//! A clock for simulations: it jumps to the next event, so hours of waiting take no time and every
//! run has the same order of events.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::clock::{Clock, Timestamp};

/// A clock that only its owner advances; all clones share the time.
///
/// Sleepers with the same wake time wake in the order in which they began to sleep.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock {
    state: Arc<Mutex<ClockState>>,
}

#[derive(Debug, Default)]
struct ClockState {
    now: Timestamp,
    next_ticket: u64,
    // The ticket makes keys unique and keeps the order of sleepers with equal wake times.
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
}

impl VirtualClock {
    /// A clock that shows `now`.
    pub fn starting_at(now: Timestamp) -> Self {
        Self { state: Arc::new(Mutex::new(ClockState { now, ..ClockState::default() })) }
    }

    /// Advances the time and wakes all sleepers with a wake time up to then.
    pub fn advance(&self, duration: Duration) {
        let wake = self.now() + duration;
        self.advance_to(wake);
    }

    /// Runs `future` to completion on the calling thread.
    ///
    /// When no part of the future can make progress, the clock jumps to the next sleeper. Returns
    /// `None` if there is no sleeper either, that is, if the future waits for an event that will
    /// never occur. The future may consist of any number of joined tasks.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let woken = Arc::new(Flag::default());
        let waker = Waker::from(woken.clone());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            // A wake-up during the poll, for instance through a channel, comes before any sleeper.
            if !woken.0.swap(false, Ordering::SeqCst) {
                let next = self.state().sleepers.keys().next().map(|(wake, _)| *wake);
                self.advance_to(next?);
            }
        }
    }

    fn advance_to(&self, now: Timestamp) {
        let mut state = self.state();
        // Time never goes backwards, even if a sleeper was registered for a time in the past.
        let now = state.now.max(now);
        state.now = now;
        let mut due = Vec::new();
        while let Some(sleeper) =
            state.sleepers.first_entry().filter(|sleeper| sleeper.key().0 <= now)
        {
            due.push(sleeper.remove());
        }
        // Before waking: a waker may read the time, which needs the same lock.
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, ClockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { clock: self.clone(), wake, ticket: None })
    }
}

/// True if the running future was woken during its last poll.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The future of one sleeper.
struct Sleep {
    clock: VirtualClock,
    wake: Timestamp,
    /// `None` before the first poll.
    ticket: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.state();
        if state.now >= self.wake {
            return Poll::Ready(());
        }
        let ticket = *self.ticket.get_or_insert_with(|| {
            state.next_ticket += 1;
            state.next_ticket
        });
        state.sleepers.insert((self.wake, ticket), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // A sleeper that was dropped must not become the target of a jump.
        if let Some(ticket) = self.ticket {
            self.clock.state().sleepers.remove(&(self.wake, ticket));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, join_all, pending};

    use super::*;
    use crate::primitives::clock::within;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn hours_of_sleep_take_no_time_and_end_in_order() {
        let clock = VirtualClock::default();
        let order = Mutex::new(Vec::new());
        let sleeper = |hours: u32| {
            let (clock, order) = (clock.clone(), &order);
            async move {
                clock.sleep_until(Timestamp::default() + HOUR * hours).await;
                order.lock().unwrap().push((hours, clock.now()));
            }
        };
        clock.run(join_all([3, 1, 2].map(sleeper))).unwrap();
        let expected = [1, 2, 3].map(|hours| (hours, Timestamp::default() + HOUR * hours));
        assert_eq!(*order.lock().unwrap(), expected);
    }

    #[test]
    fn a_future_over_its_time_limit_is_dropped_and_its_sleepers_too() {
        let clock = VirtualClock::default();
        let slow = clock.sleep_until(Timestamp::default() + HOUR * 2);
        assert_eq!(clock.run(within(&clock, HOUR, slow)), Some(None));
        assert_eq!(clock.now(), Timestamp::default() + HOUR);
        assert_eq!(clock.run(within(&clock, HOUR, async { 7 })), Some(Some(7)));
        assert!(clock.state().sleepers.is_empty());
    }

    #[test]
    fn a_future_that_can_never_complete_returns_none() {
        let clock = VirtualClock::default();
        assert_eq!(clock.run(join(pending::<()>(), clock.sleep_until(clock.now() + HOUR))), None);
        assert_eq!(clock.now(), Timestamp::default() + HOUR);
    }
}
