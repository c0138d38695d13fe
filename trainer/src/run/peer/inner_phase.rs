//! The inner phase of a round: H steps of AdamW from the shared weights, before the peer publishes
//! anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use covey_comms::membership::Slot;
use covey_comms::primitives::Round;
use covey_data::sampling::{Assignment, PrefetchLoader};

use crate::config::schema::Config;
use crate::system::error::Result;
use crate::training::learner::{Learner, StepOutcome};

/// The inner phase of one peer in one round (Algorithm 1 of SparseLoCo, the loop over h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InnerPhase {
    pub(crate) round: Round,
    pub(crate) slot: Slot,
    /// Inner steps of the run before this round. The learning rate schedule follows them, so it is
    /// the same for all peers.
    pub(crate) schedule: u64,
    /// Inner steps of this peer before this round.
    pub(crate) own: u64,
    /// Step of this peer at which its warmup starts, if it joined late.
    pub(crate) warmup_from: Option<u64>,
}

/// One inner step with the values that are reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepLine {
    pub(crate) outcome: StepOutcome,
    /// Steps and training tokens of this peer so far.
    pub(crate) own: (u64, u64),
    /// The corresponding step of the run.
    pub(crate) shown: u64,
    pub(crate) tokens_per_second: f64,
}

impl InnerPhase {
    /// Trains H steps on the windows of the slot. Returns false if `interrupt` was raised before
    /// the last step.
    pub(crate) fn train(
        &self,
        learner: &mut Learner,
        assignment: &Assignment,
        config: &Config,
        interrupt: &AtomicBool,
        mut report: impl FnMut(StepLine) -> Result<()>,
    ) -> Result<bool> {
        let sampler = assignment.of(self.round.0, self.slot.index)?;
        let mut loader =
            PrefetchLoader::start(sampler, config.train.batch_size, config.data.prefetch)?;
        let (start, tokens) = (Instant::now(), learner.tokens());
        // The schedule follows the run: a late joiner has the learning rate of the other peers.
        learner.set_step(self.schedule);
        // Compression in the last round may have moved them to the memory of the host.
        learner.reload_moments();
        for step in 1..=config.rounds.inner_steps {
            // Nothing is kept of an unfinished phase: the pseudo-gradient of a round needs all H
            // steps.
            if interrupt.load(Ordering::SeqCst) {
                return Ok(false);
            }
            learner.set_rate_ratio(self.rate_ratio(step, config.rounds.join_warmup_steps));
            let batch = loader.next_batch()?;
            let outcome = learner.step(&batch.tokens, batch.length)?;
            let tokens_per_second =
                (learner.tokens() - tokens) as f64 / start.elapsed().as_secs_f64();
            let own = (self.own + step, learner.tokens());
            report(StepLine { outcome, own, shown: self.schedule + step, tokens_per_second })?;
        }
        Ok(true)
    }

    /// Factor on the learning rate in inner step `step` of this phase, counted from 1.
    fn rate_ratio(&self, step: u64, warmup: u64) -> f64 {
        match self.warmup_from.map(|from| self.own + step - from) {
            Some(since) if since <= warmup => since as f64 / warmup as f64,
            _ => 1.0,
        }
    }
}
