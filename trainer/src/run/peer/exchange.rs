//! The exchange of a delta: the peer commits to its digest while no other peer can see it, and
//! reveals it once commitments are closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use covey_comms::membership::Slot;
use covey_comms::objects::DeltaRef;
use covey_comms::participants::Published;
use covey_comms::run::CommsError;
use covey_optim::sparseloco::Delta;

use super::overlap::LearnerState;
use super::round_loop::RoundLoop;
use crate::system::error::Result;

/// Longest sleep between two checks for an interrupt.
const SLICE: Duration = Duration::from_millis(500);

/// Time between two progress lines of a waiting peer.
const REMINDER: Duration = Duration::from_secs(60);

/// A delta of a round that has not been decided.
#[derive(Debug)]
pub(super) struct PendingDelta {
    pub(super) delta: Delta,
    stage: DeltaStage,
}

/// How much of a delta has been published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeltaStage {
    /// Nothing.
    Made,
    /// Its digest and length.
    Committed,
    /// The payload, or nothing more: another delta is binding for this round.
    Done,
}

impl PendingDelta {
    /// A delta of which nothing has been published.
    pub(super) fn new(delta: Delta) -> Self {
        Self { delta, stage: DeltaStage::Made }
    }
}

impl RoundLoop {
    /// Commits to the pending delta, reveals it once commitments are closed, waits for the decision
    /// on its round and applies it. Returns early if `interrupt` is raised.
    pub(super) async fn exchange(
        &mut self,
        slot: Option<Slot>,
        interrupt: &AtomicBool,
    ) -> Result<()> {
        self.timings.bytes_sent = self.payload()?.map_or(0, |payload| payload.len() as u64);
        if let Some(manifest) = self.light_client.poll().await? {
            return self.settle(&manifest).await;
        }
        self.commit().await?;
        if let Some(slot) = slot {
            self.train_overlapping(slot)?;
        }
        self.await_decision(interrupt).await
    }

    /// The bytes of the pending delta.
    fn payload(&self) -> Result<Option<Vec<u8>>> {
        Ok(self
            .pending
            .as_ref()
            .map(|pending: &PendingDelta| self.replica.codec().encode(&pending.delta))
            .transpose()?)
    }

    /// Publishes the commitment of the pending delta.
    async fn commit(&mut self) -> Result<()> {
        let Some(payload) = self.payload()? else { return Ok(()) };
        let start = Instant::now();
        let (round, base) = (self.light_client.next(), self.light_client.head());
        let committed = self.peer_client.commit(round, base, &payload).await?;
        let is_kept = committed == DeltaRef::of(&payload);
        if !is_kept {
            // Committed before a restart, and that delta is lost with the disk. Revealing this one
            // would count as a broken commitment, so the round goes without a delta of this peer.
            self.recorder.note(&format!(
                "warning: no delta in {round}: \
                     this peer committed to another one before the restart"
            ));
            self.timings.bytes_sent = 0;
        }
        self.set_stage(if is_kept { DeltaStage::Committed } else { DeltaStage::Done });
        self.timings.exchange += start.elapsed();
        Ok(())
    }

    /// Publishes the pending delta once commitments are closed.
    async fn reveal_if_closed(&mut self) -> Result<()> {
        let Some(pending) =
            self.pending.as_ref().filter(|pending| pending.stage == DeltaStage::Committed)
        else {
            return Ok(());
        };
        let (round, base) = (self.light_client.next(), self.light_client.head());
        if !self.peer_client.may_reveal(round, base).await? {
            return Ok(());
        }
        let start = Instant::now();
        let payload = self.replica.codec().encode(&pending.delta)?;
        match self.peer_client.publish(round, base, payload.into()).await {
            // The delta was stored before a restart. Retention may have removed it if the round was
            // decided long ago.
            Ok(Published::Stored) | Err(CommsError::DeltaGone { .. }) => {}
            Ok(Published::Occupied(payload)) => {
                // Published before the last restart; the first version is binding.
                let published = self.replica.codec().decode(&payload)?;
                self.compressor.replace(&pending.delta, &published)?;
                self.pending = Some(PendingDelta::new(published));
            }
            Err(error) => return Err(error.into()),
        }
        self.timings.exchange += start.elapsed();
        self.set_stage(DeltaStage::Done);
        Ok(())
    }

    fn set_stage(&mut self, stage: DeltaStage) {
        if let Some(pending) = &mut self.pending {
            pending.stage = stage;
        }
    }

    /// Waits until the validators have decided the round and applies the decision. Returns early if
    /// `interrupt` is raised.
    pub(super) async fn await_decision(&mut self, interrupt: &AtomicBool) -> Result<()> {
        let (start, clock) = (Instant::now(), Arc::clone(self.light_client.run().clock()));
        let every = Duration::from_secs_f64(self.config.comms.poll_interval);
        let mut reminder = clock.now() + REMINDER;
        while !interrupt.load(Ordering::SeqCst) {
            if let LearnerState::Overlapping(overlap) = &self.learner {
                overlap.lines().try_for_each(|line| self.recorder.step(line))?;
            }
            self.reveal_if_closed().await?;
            let is_waiting_for_commitment_lists =
                self.pending.as_ref().is_some_and(|pending| pending.stage == DeltaStage::Committed);
            // A late reveal delays the round, so the peer polls at the full rate until then.
            let slice = if is_waiting_for_commitment_lists { every } else { SLICE.max(every) };
            if let Some(manifest) = self.light_client.wait(every, clock.now() + slice).await? {
                self.timings.wait += start.elapsed();
                return self.settle(&manifest).await;
            }
            if clock.now() >= reminder {
                self.recorder.note(&format!(
                    "waiting for the validators to close {}",
                    self.light_client.next()
                ));
                reminder = clock.now() + REMINDER;
            }
        }
        Ok(())
    }
}
