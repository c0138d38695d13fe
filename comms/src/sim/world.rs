//! The state that all actors of a simulation share, and the laws that it checks.
//!
//! Actors import this file; it imports none of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::failure::FailureKind;
use super::scenario::Scenario;
use super::trace::{Actor, Event, Trace};
use crate::bucket::stores::MemoryBucket;
use crate::objects::Lineage;
use crate::primitives::{Clock, Digest, Round, RunId, Timestamp, VirtualClock};

/// The start of every simulation.
// About 35 years after the epoch, so a clock that is behind still shows a valid time.
pub(crate) const START: Timestamp = Timestamp::from_micros(1 << 50);

/// A time that no simulation reaches. Halved, so a deadline beyond it does not overflow.
pub(crate) const NEVER: Timestamp = Timestamp::from_micros(u64::MAX >> 1);

/// The shared state of a simulation.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) clock: VirtualClock,
    pub(crate) bucket: MemoryBucket,
    pub(crate) id: RunId,
    records: Mutex<Records>,
}

/// The observations so far.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) trace: Trace,
    /// The weights at the start of each round, with the actor that had them first.
    pub(crate) weights: BTreeMap<Round, (Actor, (Lineage, Digest))>,
    /// The distance of the newest of these weights from the optimum.
    pub(crate) distance: f32,
}

impl World {
    pub(crate) fn new(
        scenario: Scenario,
        clock: VirtualClock,
        bucket: MemoryBucket,
        id: RunId,
    ) -> Self {
        let trace = Trace::starting_at(START);
        let records = Mutex::new(Records { trace, weights: BTreeMap::new(), distance: f32::MAX });
        Self { scenario, clock, bucket, id, records }
    }

    /// Adds an event to the trace.
    pub(crate) fn record(&self, actor: Actor, event: Event) {
        // The true time: times of skewed clocks would not be in order.
        let now = self.clock.now();
        self.records.lock().unwrap_or_else(PoisonError::into_inner).trace.push(now, actor, event);
    }

    /// Compares the weights of an actor at the start of `round` with those of all other actors.
    ///
    /// # Errors
    /// [`FailureKind::Diverged`] if another actor had different ones.
    pub(crate) fn check_weights(
        &self,
        actor: Actor,
        round: Round,
        got: (Lineage, Digest),
        distance: f32,
    ) -> Result<(), Box<FailureKind>> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        // Rounds are reached in order, so the first actor at a new round has the newest weights.
        if !records.weights.contains_key(&round) {
            records.distance = distance;
        }
        let (first, expected) = *records.weights.entry(round).or_insert((actor, got));
        if expected == got {
            return Ok(());
        }
        Err(Box::new(FailureKind::Diverged { round, first, expected, second: actor, got }))
    }

    pub(crate) fn into_records(self) -> Records {
        self.records.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
