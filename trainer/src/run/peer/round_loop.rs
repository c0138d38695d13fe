//! The rounds of a peer: Algorithm 1 of SparseLoCo, with Equations 1 and 2 of the Covenant-72B
//! paper, until the run is complete or the peer leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use covey_comms::history::LightClient;
use covey_comms::membership::Slot;
use covey_comms::objects::Manifest;
use covey_comms::participants::PeerClient;
use covey_comms::primitives::{PeerId, Round};
use covey_comms::run::Fetched;
use covey_data::sampling::Assignment;
use covey_optim::sparseloco::Compressor;

use super::exchange::PendingDelta;
use super::inner_phase::InnerPhase;
use super::overlap::LearnerState;
use super::recorder::Recorder;
use super::round_metrics::RoundTimings;
use crate::config::schema::Config;
use crate::eval::HeldOut;
use crate::run::replica::{Replica, check_weights};
use crate::run::spec::RunSpec;
use crate::run::sync::newest_checkpoint;
use crate::system::error::{Context, Result};

/// The way in which the part of a peer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The run has made all its outer steps.
    Finished,
    /// The peer was interrupted and has published a leave notice.
    Left,
}

/// One peer of a distributed run.
///
/// The state of a round is on disk from the end of training to the decision, see
/// `resume_state`. Applying a manifest is deterministic, so all replicas have the same
/// bits.
pub struct RoundLoop {
    pub(super) spec: RunSpec,
    pub(super) config: Config,
    pub(super) light_client: LightClient,
    pub(super) peer_client: PeerClient,
    /// URL of the separate bucket with its deltas; `None` for the bucket of the run.
    pub(super) own_url: Option<String>,
    /// The shared weights at the start of the round: theta.
    pub(super) replica: Replica,
    pub(super) learner: LearnerState,
    /// Compression with error feedback.
    pub(super) compressor: Compressor,
    pub(super) assignment: Arc<Assignment>,
    pub(super) held_out: Option<HeldOut>,
    /// The delta of the round that has not been decided.
    pub(super) pending: Option<PendingDelta>,
    /// A step with an evaluation that waits for the learner to return from an overlapping phase.
    pub(super) unmeasured: Option<u64>,
    /// Inner steps of this peer over all starts.
    pub(super) steps: u64,
    /// Step of this peer at which its warmup starts, if it joined late.
    pub(super) warmup_from: Option<u64>,
    pub(super) recorder: Recorder,
    pub(super) timings: RoundTimings,
}

impl RoundLoop {
    /// The ID of this peer.
    pub fn peer(&self) -> PeerId {
        self.peer_client.peer()
    }

    /// The shared weights on this machine.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The verified history.
    pub fn light_client(&self) -> &LightClient {
        &self.light_client
    }

    /// Takes part until the run is complete or `interrupt` is raised. All state is on disk then.
    ///
    /// # Errors
    /// Errors of bucket, data, disk or device. A later start continues with the last round.
    pub async fn play(&mut self, interrupt: &AtomicBool) -> Result<RunEnd> {
        match &self.own_url {
            Some(url) => self.peer_client.join_request_from(url).await?,
            None => self.peer_client.join_request().await?,
        }
        // Restarted between training and decision: this delta is exchanged first.
        if self.pending.is_some() {
            let slot = self.light_client.slot(self.peer_client.peer());
            self.exchange(slot, interrupt).await?;
        }
        loop {
            // Rounds may have been decided during a restart or a slow evaluation.
            self.catch_up().await?;
            if self.light_client.outer_steps() >= self.spec.outer_steps() {
                return self.finish();
            }
            if interrupt.load(Ordering::SeqCst) {
                return self.leave().await;
            }
            match self.light_client.slot(self.peer_client.peer()) {
                Some(slot) => self.play_round(slot, interrupt).await?,
                None => self.request_slot(interrupt).await?,
            }
        }
    }

    /// Trains and exchanges one round.
    async fn play_round(&mut self, slot: Slot, interrupt: &AtomicBool) -> Result<()> {
        let (round, base) = (self.light_client.next(), self.light_client.head());
        // Before training, which may take hours: validators see that this peer takes part.
        self.peer_client.heartbeat(round, base).await?;
        let Some(pseudo_gradient) = self.inner_steps(round, slot, interrupt)? else {
            return Ok(());
        };
        let start = Instant::now();
        self.idle_learner()?;
        let LearnerState::Idle(learner) = &mut self.learner else { return Ok(()) };
        // Compression needs the memory of the moments, which are not used until the next phase.
        if self.config.memory.offload_optimizer {
            learner.offload_moments();
        }
        let delta = learner.compress(&mut self.compressor, &pseudo_gradient)?;
        self.pending = Some(PendingDelta::new(delta));
        // On disk before the commitment: after a restart the peer must publish these bytes.
        self.save()?;
        self.timings.exchange += start.elapsed();
        self.exchange(Some(slot), interrupt).await
    }

    /// Returns the pseudo-gradient after H inner steps: start minus end, in the order of the
    /// schema. `None` if `interrupt` was raised before the last step.
    fn inner_steps(
        &mut self,
        round: Round,
        slot: Slot,
        interrupt: &AtomicBool,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        if let Some(pseudo_gradient) = self.finish_overlap(round)? {
            return Ok(Some(pseudo_gradient));
        }
        let start = Instant::now();
        let inner_phase = self.inner_phase(round, slot, self.light_client.outer_steps());
        self.idle_learner()?;
        let Self { learner, replica, assignment, config, recorder, .. } = self;
        let LearnerState::Idle(learner) = learner else { return Ok(None) };
        learner.set_weights(replica.weights().map(|tensor| tensor.values.as_slice()))?;
        if !inner_phase.train(learner, assignment, config, interrupt, |line| recorder.step(line))? {
            return Ok(None);
        }
        let pseudo_gradient = replica.minus(&learner.named_weights());
        self.steps += self.config.rounds.inner_steps;
        self.timings.train = start.elapsed();
        let elapsed = self.timings.train;
        tracing::info!(round = round.0, slot = slot.index, ?elapsed, "inner phase ended");
        Ok(Some(pseudo_gradient))
    }

    pub(super) fn inner_phase(&self, round: Round, slot: Slot, outer_steps: u64) -> InnerPhase {
        let schedule = outer_steps * self.config.rounds.inner_steps;
        InnerPhase { round, slot, schedule, own: self.steps, warmup_from: self.warmup_from }
    }

    /// Publishes a heartbeat without a slot, and waits for the manifest that assigns one.
    async fn request_slot(&mut self, interrupt: &AtomicBool) -> Result<()> {
        self.peer_client.heartbeat(self.light_client.next(), self.light_client.head()).await?;
        self.await_decision(interrupt).await
    }

    /// Applies every round that has been decided meanwhile.
    async fn catch_up(&mut self) -> Result<()> {
        while let Some(manifest) = self.light_client.poll().await? {
            self.settle(&manifest).await?;
        }
        Ok(())
    }

    /// Applies a decided round: returns an excluded delta to the error feedback, then clips,
    /// averages and makes the outer step. Fails if the weights differ from those in the manifest.
    pub(super) async fn settle(&mut self, manifest: &Manifest) -> Result<()> {
        let start = Instant::now();
        // The client has already counted this round.
        let outer_steps = self.light_client.outer_steps() - u64::from(!manifest.is_void());
        let own = self.pending.take();
        let is_in = manifest.included().contains_key(&self.peer_client.peer());
        if let Some(own) = own.as_ref().filter(|_| self.config.sparseloco.return_excluded && !is_in)
        {
            self.compressor.return_mass(&own.delta)?;
        }
        self.apply_deltas(manifest).await?;
        let weights = self.replica.digest();
        // After a jump, this is the manifest before the checkpoint, so both ways are checked.
        if let Some(last) = self.light_client.last() {
            check_weights(last, weights)?;
        }
        self.timings.exchange += start.elapsed();
        self.record(own.is_some(), weights)?;
        self.evaluate_if_due(outer_steps)
    }

    /// Applies the included deltas, or loads a later checkpoint if they cannot be read.
    async fn apply_deltas(&mut self, manifest: &Manifest) -> Result<()> {
        match Fetched::from(self.light_client.gather(manifest).await) {
            Fetched::Valid(payloads) => {
                let deltas = self.replica.decode(&payloads)?;
                let skipped = self.replica.apply(manifest, &deltas)?;
                self.warn_about_skipped(&skipped);
                Ok(())
            }
            // Retention removes the deltas of old rounds, so a peer that was away cannot replay
            // them.
            Fetched::Absent => self.jump("a delta of the round is no longer in the bucket").await,
            Fetched::Unreachable(error) if error.is_outage_of_peer_bucket() => {
                self.jump(&error.to_string()).await
            }
            Fetched::Invalid(error) | Fetched::Unreachable(error) => Err(error.into()),
        }
    }

    /// Skips rounds with unreadable deltas by loading the latest checkpoint of the bucket.
    async fn jump(&mut self, reason: &str) -> Result<()> {
        let weights = newest_checkpoint(&mut self.light_client, &self.spec).await?;
        let weights = weights.with_context(|| {
            format!("{reason}, and the bucket has no later checkpoint to continue from")
        })?;
        let round = self.light_client.next();
        tracing::warn!(round = round.0, reason, "continuing from a checkpoint of the bucket");
        self.recorder.note(&format!("continuing from the checkpoint of {round}: {reason}"));
        self.replica.replace(weights);
        Ok(())
    }

    /// Saves the final weights in the folder of this peer.
    fn finish(&mut self) -> Result<RunEnd> {
        self.idle_learner()?;
        self.save()?;
        self.recorder.close()?;
        Ok(RunEnd::Finished)
    }

    /// Publishes a leave notice. Deltas that are already revealed still count. A commitment without
    /// a reveal is recorded as withheld unless this peer returns in time. An unfinished inner phase
    /// starts again after the return.
    async fn leave(&mut self) -> Result<RunEnd> {
        // First, because the end of an overlapping phase can take seconds.
        self.peer_client.leave_notice(self.light_client.next(), self.light_client.head()).await?;
        self.idle_learner()?;
        self.recorder.close()?;
        Ok(RunEnd::Left)
    }
}
