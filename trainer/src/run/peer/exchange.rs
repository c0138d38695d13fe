//! How a delta gets to the others: committed to while nobody can see it, revealed when nobody can commit any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use covey_comms::membership::Slot;
use covey_comms::objects::DeltaRef;
use covey_comms::participants::Published;
use covey_comms::run::CommsError;
use covey_optim::sparseloco::Delta;

use super::round_loop::RoundLoop;

/// How long a peer waits before it looks whether it was asked to stop.
const SLICE: Duration = Duration::from_millis(500);

/// How often a peer that waits says so.
const REMINDER: Duration = Duration::from_secs(60);

/// A delta whose round has not been decided.
#[derive(Debug)]
pub(super) struct PendingDelta {
    pub(super) delta: Delta,
    stage: DeltaStage,
}

/// How much of a delta the others know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeltaStage {
    /// Nothing.
    Made,
    /// Its digest.
    Committed,
    /// All, or all that they will ever know.
    Told,
}

impl PendingDelta {
    /// A delta that nobody knows of.
    pub(super) fn new(delta: Delta) -> Self {
        Self { delta, stage: DeltaStage::Made }
    }
}

impl RoundLoop {
    /// Commits to the delta that is pending, reveals it as soon as that is safe, and waits for the decision on its round,
    /// which is applied; or until `interrupt` is raised.
    pub(super) async fn exchange(
        &mut self,
        slot: Option<Slot>,
        interrupt: &AtomicBool,
    ) -> anyhow::Result<()> {
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
    fn payload(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let encode = |pending: &PendingDelta| self.replica.codec().encode(&pending.delta);
        Ok(self.pending.as_ref().map(encode).transpose()?)
    }

    /// Tells the others the digest of the pending delta.
    async fn commit(&mut self) -> anyhow::Result<()> {
        let Some(payload) = self.payload()? else { return Ok(()) };
        let start = Instant::now();
        let (round, base) = (self.light_client.next(), self.light_client.head());
        let committed = self.member.commit(round, base, &payload).await?;
        let is_kept = committed == DeltaRef::of(&payload);
        if !is_kept {
            // In a life that this one does not remember: that delta is lost, and this one would be refused.
            self.recorder
                .note(&format!("warning: {round} is lost, another delta had been promised for it"));
            self.timings.bytes_sent = 0;
        }
        self.turn_to(if is_kept { DeltaStage::Committed } else { DeltaStage::Told });
        self.timings.exchange += start.elapsed();
        Ok(())
    }

    /// Publishes the pending delta, if the rolls have been called.
    async fn reveal_if_called(&mut self) -> anyhow::Result<()> {
        let Some(pending) =
            self.pending.as_ref().filter(|pending| pending.stage == DeltaStage::Committed)
        else {
            return Ok(());
        };
        let (round, base) = (self.light_client.next(), self.light_client.head());
        if !self.member.may_reveal(round, base).await? {
            return Ok(());
        }
        let start = Instant::now();
        let payload = self.replica.codec().encode(&pending.delta)?;
        match self.member.publish(round, base, payload.into()).await {
            // What was said first may be gone, if the round was decided long ago.
            Ok(Published::Stored) | Err(CommsError::DeltaGone { .. }) => {}
            Ok(Published::Occupied(payload)) => {
                // Said in a life that this one does not remember: what was said first counts.
                let said = self.replica.codec().decode(&payload)?;
                self.compressor.replace(&pending.delta, &said)?;
                self.pending = Some(PendingDelta::new(said));
            }
            Err(error) => return Err(error.into()),
        }
        self.timings.exchange += start.elapsed();
        self.turn_to(DeltaStage::Told);
        Ok(())
    }

    fn turn_to(&mut self, stage: DeltaStage) {
        if let Some(pending) = &mut self.pending {
            pending.stage = stage;
        }
    }

    /// Waits until the validators have decided on the round, and applies it; or until `interrupt` is raised.
    pub(super) async fn await_decision(&mut self, interrupt: &AtomicBool) -> anyhow::Result<()> {
        let (start, clock) = (Instant::now(), Arc::clone(self.light_client.run().clock()));
        let every = Duration::from_secs_f64(self.config.comms.poll);
        let mut reminder = clock.now() + REMINDER;
        while !interrupt.load(Ordering::SeqCst) {
            if let Some(ahead) = &self.ahead {
                ahead.lines().try_for_each(|line| self.recorder.step(line))?;
            }
            self.reveal_if_called().await?;
            let is_waiting_for_commitment_lists =
                self.pending.as_ref().is_some_and(|pending| pending.stage == DeltaStage::Committed);
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
