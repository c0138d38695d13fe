//! Training the next round while one is exchanged (`rounds.overlap`).

use std::sync::Arc;

use covey_comms::membership::Slot;

use super::inner_phase::{Joined, OverlapTraining};
use super::round_loop::{AT_HOME, RoundLoop};

impl RoundLoop {
    /// Begins the next round while this one is exchanged, if the run wants it so (`rounds.overlap`).
    ///
    /// Others' deltas are not known yet, so it starts from the shared weights and this peer's own delta. What it learns
    /// is published against the weights of its own round, one round late. Seats of that round are not known either: this
    /// one's count.
    pub(super) fn train_overlapping(&mut self, slot: Slot) -> anyhow::Result<()> {
        let outer_steps = self.light_client.outer_steps();
        let next =
            self.light_client.next().next().filter(|_| outer_steps + 1 < self.spec.outer_steps());
        let (Some(pending), Some(round), true) = (&self.pending, next, self.config.rounds.overlap)
        else {
            return Ok(());
        };
        let rate = self.config.sparseloco().outer_learning_rate.rate(outer_steps);
        let start = self.replica.moved_by(&pending.delta, rate);
        let inner_phase = self.inner_phase(round, slot, outer_steps + 1);
        let learner = self.learner.take().expect(AT_HOME);
        self.ahead = Some(OverlapTraining::start(
            inner_phase,
            start,
            learner,
            Arc::clone(&self.assignment),
            self.config.clone(),
        )?);
        Ok(())
    }

    /// Takes the learner back that has trained ahead.
    pub(super) fn rejoin(
        &mut self,
        ahead: OverlapTraining,
    ) -> anyhow::Result<Option<Vec<Vec<f32>>>> {
        let Joined { learner, outcome, lines, start, seconds } = ahead.join()?;
        let trained = learner.named_weights();
        self.learner = Some(learner);
        lines.into_iter().try_for_each(|line| self.recorder.step(line))?;
        outcome?;
        let pseudo_gradient = self.replica.difference(start.iter(), &trained);
        self.steps += self.config.rounds.inner_steps;
        self.timings.train = seconds;
        if let Some(shown) = self.unmeasured.take() {
            self.evaluate(shown)?;
        }
        Ok(Some(pseudo_gradient))
    }

    /// The learner, wherever it was.
    pub(super) fn return_weights(&mut self) -> anyhow::Result<()> {
        if let Some(ahead) = self.ahead.take() {
            self.learner = Some(ahead.discard()?);
        }
        Ok(())
    }
}
