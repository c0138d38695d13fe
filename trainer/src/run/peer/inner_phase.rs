//! The inner steps of a round, on this thread or ahead of the exchange on another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::Context;
use covey_comms::membership::Slot;
use covey_comms::primitives::Round;
use covey_data::sampling::{Assignment, PrefetchLoader};

use crate::config::schema::Config;
use crate::training::checkpoint::NamedTensor;
use crate::training::learner::{Learner, StepOutcome};

/// What a peer does in one round before it has anything to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InnerPhase {
    pub(crate) round: Round,
    pub(crate) slot: Slot,
    /// Steps of the run that came before: the clock of the schedule.
    pub(crate) schedule: u64,
    /// Steps that this peer had made before.
    pub(crate) own: u64,
    /// Its step from which the learning rate rises, if it joined late.
    pub(crate) warmup_from: Option<u64>,
}

/// A step as it is to be reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepLine {
    pub(crate) outcome: StepOutcome,
    /// Steps that this peer has made, and tokens that it has learned from.
    pub(crate) own: (u64, u64),
    /// The step of the run that it stands for.
    pub(crate) shown: u64,
    pub(crate) tokens_per_second: f64,
}

impl InnerPhase {
    /// H steps of AdamW on the windows of the seat; false if `interrupt` was raised in between.
    pub(crate) fn train(
        &self,
        learner: &mut Learner,
        assignment: &Assignment,
        config: &Config,
        interrupt: &AtomicBool,
        mut report: impl FnMut(StepLine) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let sampler = assignment.of(self.round.0, self.slot.index)?;
        let mut loader =
            PrefetchLoader::start(sampler, config.train.batch_size, config.data.prefetch)?;
        let (start, tokens) = (Instant::now(), learner.tokens());
        learner.set_step(self.schedule);
        learner.wake();
        for step in 1..=config.rounds.inner_steps {
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

    /// What the learning rate is multiplied with at a step of the stint, counted from 1.
    fn rate_ratio(&self, step: u64, warmup: u64) -> f64 {
        match self.warmup_from.map(|from| self.own + step - from) {
            Some(since) if since <= warmup => since as f64 / warmup as f64,
            _ => 1.0,
        }
    }
}

/// A stint on another thread, while this one exchanges what the round before brought.
pub(crate) struct OverlapTraining {
    pub(crate) inner_phase: InnerPhase,
    /// The weights that it started from, in canonical order.
    pub(crate) start: Vec<NamedTensor>,
    began: Instant,
    stop: Arc<AtomicBool>,
    lines: Receiver<StepLine>,
    thread: JoinHandle<(Learner, anyhow::Result<bool>)>,
}

impl OverlapTraining {
    /// Begins a stint from weights `start`.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(crate) fn start(
        inner_phase: InnerPhase,
        start: Vec<NamedTensor>,
        mut learner: Learner,
        assignment: Arc<Assignment>,
        config: Config,
    ) -> anyhow::Result<Self> {
        learner.set_weights(start.iter().map(|tensor| tensor.values.as_slice()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, lines) = channel();
        let told = Arc::clone(&stop);
        let work = move || {
            // Whoever no longer listens has stopped the stint.
            let report = |line| {
                let _ = sender.send(line);
                Ok(())
            };
            let outcome = inner_phase.train(&mut learner, &assignment, &config, &told, report);
            (learner, outcome)
        };
        let thread = thread::Builder::new()
            .name("ahead".into())
            .spawn(work)
            .context("cannot start a thread")?;
        Ok(Self { inner_phase, start, began: Instant::now(), stop, lines, thread })
    }

    /// The steps made since the last call.
    pub(crate) fn lines(&self) -> impl Iterator<Item = StepLine> + '_ {
        self.lines.try_iter()
    }

    /// Waits for its end: the learner, and whether all steps were made.
    pub(crate) fn join(self) -> anyhow::Result<Joined> {
        let (learner, outcome) =
            self.thread.join().map_err(|_| anyhow::anyhow!("the training thread panicked"))?;
        let lines = self.lines.try_iter().collect();
        Ok(Joined { learner, outcome, lines, start: self.start, seconds: self.began.elapsed() })
    }

    /// Gives it up.
    pub(crate) fn discard(self) -> anyhow::Result<Learner> {
        self.stop.store(true, Ordering::SeqCst);
        Ok(self.join()?.learner)
    }
}

/// What a stint on another thread left.
pub(crate) struct Joined {
    pub(crate) learner: Learner,
    pub(crate) outcome: anyhow::Result<bool>,
    pub(crate) lines: Vec<StepLine>,
    pub(crate) start: Vec<NamedTensor>,
    pub(crate) seconds: std::time::Duration,
}
