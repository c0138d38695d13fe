//! The state that all actors of a contest share.
//!
//! Peers and validators import this file; it imports none of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::delta::ToyDelta;
use super::record::ContestRound;
use super::regression::Regression;
use crate::bucket::stores::MemoryBucket;
use crate::objects::{Clipping, Divisor, OuterSettings};
use crate::primitives::{Clock, Keypair, Round, RunId, SeededRng, Timestamp, VirtualClock};
use crate::run::{CommsError, Run};
use crate::sim::keys::keypair_from;

/// The pause between two polls of the bucket.
pub(super) const POLL: Duration = Duration::from_secs(5);

/// The start of every contest.
pub(super) const START: Timestamp = Timestamp::from_micros(1 << 50);

pub(super) const OUTER: OuterSettings =
    OuterSettings { alpha: 1.0, mean_over: Divisor::Senders, clip: Clipping::MedianNorm };

/// Seconds for which a copier waits for a leak.
// Honest peers train for 30 to 60 s, so most leaks come within this time of the copier's turn.
const LEAK_WAIT: u32 = 30;

/// The shared state of a contest.
pub(super) struct Arena {
    pub(super) seed: u64,
    num_rounds: u32,
    pub(super) max_delta: u64,
    pub(super) clock: VirtualClock,
    bucket: MemoryBucket,
    id: RunId,
    pub(super) problem: Regression,
    state: Mutex<ArenaState>,
}

/// Information that actors exchange outside of the protocol.
#[derive(Default)]
struct ArenaState {
    /// Deltas that an honest peer leaked before the reveal.
    leaks: BTreeMap<Round, ToyDelta>,
    /// Deltas that one colluding peer trained for all of them.
    colluder_deltas: BTreeMap<Round, ToyDelta>,
    rounds: Vec<ContestRound>,
}

impl Arena {
    pub(super) fn new(
        seed: u64,
        num_rounds: u32,
        max_delta: u64,
        clock: VirtualClock,
        bucket: MemoryBucket,
        id: RunId,
    ) -> Self {
        let (problem, state) = (Regression::new(seed), Mutex::default());
        Self { seed, num_rounds, max_delta, clock, bucket, id, problem, state }
    }

    fn state(&self) -> MutexGuard<'_, ArenaState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Without faults and latency: a contest measures attacks, and noise would hide their effect.
    pub(super) async fn open(&self) -> Result<Run, CommsError> {
        Run::open(Arc::new(self.bucket.clone()), Arc::new(self.clock.clone()), Some(self.id)).await
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        self.clock.sleep_until(self.clock.now() + duration).await;
    }

    pub(super) fn is_over(&self, next: Round) -> bool {
        next.0 >= self.num_rounds
    }

    pub(super) fn record(&self, round: ContestRound) {
        self.state().rounds.push(round);
    }

    pub(super) fn into_rounds(self) -> Vec<ContestRound> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).rounds
    }

    /// Shows an unrevealed delta to dishonest peers.
    pub(super) fn leak(&self, round: Round, delta: ToyDelta) {
        self.state().leaks.insert(round, delta);
    }

    /// Waits for the leaked delta of a round; returns `None` after 30 s.
    pub(super) async fn wait_for_leak(&self, round: Round) -> Option<ToyDelta> {
        for _ in 0..LEAK_WAIT {
            // A separate statement: the guard is dropped before the sleep.
            let leaked = self.state().leaks.get(&round).cloned();
            if leaked.is_some() {
                return leaked;
            }
            self.sleep(Duration::from_secs(1)).await;
        }
        None
    }

    /// The delta that a colluding peer has shared for a round.
    pub(super) fn colluder_delta(&self, round: Round) -> Option<ToyDelta> {
        self.state().colluder_deltas.get(&round).cloned()
    }

    /// Shares a delta with the other colluding peers.
    pub(super) fn share_with_colluders(&self, round: Round, delta: ToyDelta) {
        self.state().colluder_deltas.insert(round, delta);
    }
}

/// The key pair of a peer or validator.
pub(super) fn identity(seed: u64, role: &str, number: u32) -> Keypair {
    keypair_from(&mut SeededRng::named(seed, role, number.into()))
}
