//! What a peer does: round after round of Algorithm 1 of SparseLoCo (Equations 1 and 2 of the Covenant-72B paper), until
//! the run is over or it leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use covey_comms::history::LightClient;
use covey_comms::membership::Slot;
use covey_comms::objects::Manifest;
use covey_comms::participants::PeerClient;
use covey_comms::primitives::{PeerId, Round};
use covey_comms::run::CommsError;
use covey_data::sampling::Assignment;
use covey_optim::sparseloco::Compressor;

use super::exchange::PendingDelta;
use super::inner_phase::{InnerPhase, OverlapTraining};
use super::recorder::Recorder;
use super::round_metrics::RoundTimings;
use crate::config::schema::Config;
use crate::eval::HeldOut;
use crate::run::replica::{Replica, check_weights};
use crate::run::spec::RunSpec;
use crate::run::sync::newest_checkpoint;
use crate::training::learner::Learner;

/// Why a learner cannot be away.
pub(super) const AT_HOME: &str = "the learner is away between publication and the next round only";

/// How a peer's part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The run has made all its steps.
    Finished,
    /// The peer was asked to stop, and has told the others.
    Left,
}

/// One peer of a common run.
pub struct RoundLoop {
    pub(super) spec: RunSpec,
    pub(super) config: Config,
    pub(super) light_client: LightClient,
    pub(super) member: PeerClient,
    /// Where others find its deltas, if not in the run's bucket.
    pub(super) own_url: Option<String>,
    /// The shared weights at the start of the round: theta.
    pub(super) replica: Replica,
    /// Away while it trains ahead.
    pub(super) learner: Option<Learner>,
    pub(super) ahead: Option<OverlapTraining>,
    /// Error feedback and what makes deltas of it.
    pub(super) compressor: Compressor,
    pub(super) assignment: Arc<Assignment>,
    pub(super) held_out: Option<HeldOut>,
    /// The delta whose round has not been decided.
    pub(super) pending: Option<PendingDelta>,
    /// A step whose weights are to be measured as soon as the learner is back.
    pub(super) unmeasured: Option<u64>,
    /// Inner steps of this peer, over all starts.
    pub(super) steps: u64,
    /// Its step from which the learning rate rises, if it joined late.
    pub(super) warmup_from: Option<u64>,
    pub(super) recorder: Recorder,
    pub(super) timings: RoundTimings,
}

impl RoundLoop {
    /// The name of this peer.
    pub fn peer(&self) -> PeerId {
        self.member.peer()
    }

    /// The shared weights as this peer holds them.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The history that this peer has verified.
    pub fn light_client(&self) -> &LightClient {
        &self.light_client
    }

    /// Plays rounds until the run is over or `interrupt` is raised; all is saved then.
    ///
    /// # Errors
    /// Whatever makes it impossible to go on; a later start goes on from the last round.
    pub async fn play(&mut self, interrupt: &AtomicBool) -> anyhow::Result<RunEnd> {
        match &self.own_url {
            Some(url) => self.member.join_request_from(url).await?,
            None => self.member.join_request().await?,
        }
        if self.pending.is_some() {
            let slot = self.light_client.slot(self.member.peer());
            self.exchange(slot, interrupt).await?;
        }
        loop {
            self.catch_up().await?;
            if self.light_client.outer_steps() >= self.spec.outer_steps() {
                return self.finish();
            }
            if interrupt.load(Ordering::SeqCst) {
                return self.leave().await;
            }
            match self.light_client.slot(self.member.peer()) {
                Some(slot) => self.play_round(slot, interrupt).await?,
                None => self.request_slot(interrupt).await?,
            }
        }
    }

    /// One round.
    async fn play_round(&mut self, slot: Slot, interrupt: &AtomicBool) -> anyhow::Result<()> {
        let (round, base) = (self.light_client.next(), self.light_client.head());
        self.member.heartbeat(round, base).await?;
        let Some(pseudo_gradient) = self.inner_steps(round, slot, interrupt)? else {
            return Ok(());
        };
        let start = Instant::now();
        let learner = self.learner.as_mut().expect(AT_HOME);
        if self.config.memory.offload {
            learner.rest();
        }
        self.pending =
            Some(PendingDelta::new(learner.compress(&mut self.compressor, &pseudo_gradient)?));
        self.save()?;
        self.timings.exchange += start.elapsed();
        self.exchange(Some(slot), interrupt).await
    }

    /// What H inner steps make of the shared weights: start minus end, in the order of the schema. Nothing, if this peer
    /// was asked to stop in between.
    fn inner_steps(
        &mut self,
        round: Round,
        slot: Slot,
        interrupt: &AtomicBool,
    ) -> anyhow::Result<Option<Vec<Vec<f32>>>> {
        if let Some(ahead) = self.ahead.take() {
            if ahead.inner_phase.round == round {
                return self.rejoin(ahead);
            }
            self.learner = Some(ahead.discard()?);
        }
        let start = Instant::now();
        let inner_phase = self.inner_phase(round, slot, self.light_client.outer_steps());
        let Self { learner, replica, assignment, config, recorder, .. } = self;
        let learner = learner.as_mut().expect(AT_HOME);
        learner.set_weights(replica.weights().map(|tensor| tensor.values.as_slice()))?;
        if !inner_phase.train(learner, assignment, config, interrupt, |line| recorder.step(line))? {
            return Ok(None);
        }
        let pseudo_gradient = replica.minus(&learner.named_weights());
        self.steps += self.config.rounds.inner_steps;
        self.timings.train = start.elapsed();
        Ok(Some(pseudo_gradient))
    }

    pub(super) fn inner_phase(&self, round: Round, slot: Slot, outer_steps: u64) -> InnerPhase {
        let schedule = outer_steps * self.config.rounds.inner_steps;
        InnerPhase { round, slot, schedule, own: self.steps, warmup_from: self.warmup_from }
    }

    /// A peer without a seat shows that it is there; the next manifest gives it one.
    async fn request_slot(&mut self, interrupt: &AtomicBool) -> anyhow::Result<()> {
        self.member.heartbeat(self.light_client.next(), self.light_client.head()).await?;
        self.await_decision(interrupt).await
    }

    /// Applies every round that has been decided meanwhile.
    async fn catch_up(&mut self) -> anyhow::Result<()> {
        while let Some(manifest) = self.light_client.poll().await? {
            self.settle(&manifest).await?;
        }
        Ok(())
    }

    /// Applies the decision that the follower has come to: the own delta comes back if it was left out; clip, average,
    /// outer step. The weights must then be those that the validators agreed on.
    pub(super) async fn settle(&mut self, manifest: &Manifest) -> anyhow::Result<()> {
        let start = Instant::now();
        let outer_steps = self.light_client.outer_steps() - u64::from(!manifest.is_void());
        let own = self.pending.take();
        let is_in = manifest.included().contains_key(&self.member.peer());
        if let Some(own) = own.as_ref().filter(|_| self.config.sparseloco.mass_return && !is_in) {
            self.compressor.return_mass(&own.delta)?;
        }
        match self.light_client.gather(manifest).await {
            Ok(payloads) => {
                let deltas = self.replica.decode(&payloads)?;
                let skipped = self.replica.apply(manifest, &deltas)?;
                self.warn_of(&skipped);
            }
            Err(error @ (CommsError::DeltaGone { .. } | CommsError::BucketUnreachable { .. })) => {
                self.jump(error).await?
            }
            Err(error) => return Err(error.into()),
        }
        let weights = self.replica.digest();
        if let Some(last) = self.light_client.last() {
            check_weights(last, weights)?;
        }
        self.timings.exchange += start.elapsed();
        self.record(own.is_some(), weights)?;
        self.evaluate_if_due(outer_steps)
    }

    /// Leaves out rounds whose deltas are no longer kept or out of reach, by way of the newest checkpoint.
    async fn jump(&mut self, reason: CommsError) -> anyhow::Result<()> {
        let weights = newest_checkpoint(&mut self.light_client, &self.spec).await?;
        let weights =
            weights.ok_or(reason).context("there is no newer checkpoint to go on from")?;
        self.recorder.note(&format!("went on from the checkpoint of {}", self.light_client.next()));
        self.replica.replace(weights);
        Ok(())
    }

    /// The run is over: the final weights stay in this peer's folder.
    fn finish(&mut self) -> anyhow::Result<RunEnd> {
        self.return_weights()?;
        self.save()?;
        self.recorder.close()?;
        Ok(RunEnd::Finished)
    }

    /// Tells the others not to wait. What was published still counts, what was only committed to counts as held back
    /// unless this peer is back in time; a round that was under way is trained anew then.
    async fn leave(&mut self) -> anyhow::Result<RunEnd> {
        self.member.leave_notice(self.light_client.next(), self.light_client.head()).await?;
        self.return_weights()?;
        self.recorder.close()?;
        Ok(RunEnd::Left)
    }
}
