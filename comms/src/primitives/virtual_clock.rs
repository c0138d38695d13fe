//! A clock that jumps to the next thing that happens: hours of waiting take no time and always go the same way.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::clock::{Clock, Timestamp};

/// Time that passes only when told to, shared by all clones.
///
/// Sleepers that are due at the same instant wake in the order in which they fell asleep.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock {
    state: Arc<Mutex<ClockState>>,
}

#[derive(Debug, Default)]
struct ClockState {
    now: Timestamp,
    next_ticket: u64,
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
}

impl VirtualClock {
    /// A clock that shows `now`.
    pub fn starting_at(now: Timestamp) -> Self {
        Self { state: Arc::new(Mutex::new(ClockState { now, ..ClockState::default() })) }
    }

    /// Lets time pass and wakes whoever is due.
    pub fn advance(&self, duration: Duration) {
        let wake = self.now() + duration;
        self.advance_to(wake);
    }

    /// Plays `future` to its end on the calling thread, jumping to the next sleeper whenever nothing else can go on.
    ///
    /// Gives nothing if the future waits for something that is not this clock and that nobody will bring about. The
    /// future may consist of as many tasks as it likes.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let woken = Arc::new(Flag::default());
        let waker = Waker::from(woken.clone());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            if !woken.0.swap(false, Ordering::SeqCst) {
                let next = self.state().sleepers.keys().next().map(|(wake, _)| *wake);
                self.advance_to(next?);
            }
        }
    }

    fn advance_to(&self, now: Timestamp) {
        let mut state = self.state();
        let now = state.now.max(now);
        state.now = now;
        let mut due = Vec::new();
        while let Some(sleeper) =
            state.sleepers.first_entry().filter(|sleeper| sleeper.key().0 <= now)
        {
            due.push(sleeper.remove());
        }
        // Whoever is woken may ask the time.
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

/// Whether the running future asked to be polled again.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One sleeper.
struct Sleep {
    clock: VirtualClock,
    wake: Timestamp,
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
        // A sleeper that is no longer wanted must not hold time back.
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
    fn hours_pass_at_once_and_in_order() {
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
    fn what_takes_too_long_is_dropped_and_does_not_hold_time_back() {
        let clock = VirtualClock::default();
        let slow = clock.sleep_until(Timestamp::default() + HOUR * 2);
        assert_eq!(clock.run(within(&clock, HOUR, slow)), Some(None));
        assert_eq!(clock.now(), Timestamp::default() + HOUR);
        assert_eq!(clock.run(within(&clock, HOUR, async { 7 })), Some(Some(7)));
        assert!(clock.state().sleepers.is_empty());
    }

    #[test]
    fn waiting_for_nothing_is_noticed() {
        let clock = VirtualClock::default();
        assert_eq!(clock.run(join(pending::<()>(), clock.sleep_until(clock.now() + HOUR))), None);
        assert_eq!(clock.now(), Timestamp::default() + HOUR);
    }
}
