//! The metrics of a peer: where the time of a round goes, the held-out loss, and the state for a
//! checkpoint.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use covey_comms::primitives::Digest;

use super::overlap::LearnerState;
use super::resume_state::Present;
use super::round_loop::RoundLoop;
use crate::system::error::Result;
use crate::training::{EvalReport, RoundReport};

/// Cost of the current round so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTimings {
    pub(super) train: Duration,
    pub(super) exchange: Duration,
    pub(super) wait: Duration,
    pub(super) bytes_sent: u64,
}

impl RoundLoop {
    pub(super) fn warn_about_skipped(&self, skipped: &[String]) {
        for name in skipped {
            self.recorder.note(&format!(
                "warning: skipped {name} in the outer step, the result would not be finite"
            ));
        }
    }

    /// Records the last decided round. The shared weights are those after it, from deltas or from a
    /// checkpoint.
    pub(super) fn record(&mut self, took_part: bool, weights: Digest) -> Result<()> {
        let Some(manifest) = self.light_client.last() else { return Ok(()) };
        let me = self.peer_client.peer();
        let own = match (manifest.included().get(&me), manifest.excluded().get(&me)) {
            (Some(_), _) => "included".to_owned(),
            (None, Some(reason)) => reason.to_string(),
            (None, None) => "none".to_owned(),
        };
        let timings = std::mem::take(&mut self.timings);
        self.recorder.round(RoundReport {
            step: self.steps,
            round: manifest.round().0,
            outer_steps: self.light_client.outer_steps(),
            lineage: self.light_client.head().to_string(),
            weights: weights.to_string(),
            included: manifest.included().len(),
            excluded: manifest.excluded().len(),
            own,
            bytes_sent: if took_part { timings.bytes_sent } else { 0 },
            bytes_received: manifest.included().values().map(|delta_ref| delta_ref.length).sum(),
            train_seconds: timings.train.as_secs_f64(),
            exchange_seconds: timings.exchange.as_secs_f64(),
            wait_seconds: timings.wait.as_secs_f64(),
        })
    }

    /// Evaluates the shared weights if the run has passed a multiple of `train.eval_every` since
    /// `before` outer steps, and at its end.
    pub(super) fn evaluate_if_due(&mut self, before: u64) -> Result<()> {
        let Some(every) = self.config.train.eval_every else { return Ok(()) };
        let inner_steps = self.config.rounds.inner_steps;
        let after = self.light_client.outer_steps() * inner_steps;
        let total = self.spec.outer_steps() * inner_steps;
        if is_due(before * inner_steps, after, every, total) {
            self.evaluate(after)
        } else {
            Ok(())
        }
    }

    pub(super) fn evaluate(&mut self, shown: u64) -> Result<()> {
        let Some(held_out) = &self.held_out else { return Ok(()) };
        let LearnerState::Idle(learner) = &mut self.learner else {
            // The learner trains the next round; the evaluation happens when it returns.
            self.unmeasured = Some(shown);
            return Ok(());
        };
        // The shared weights and not those of this peer, so all peers report the same loss.
        learner.set_weights(self.replica.weights().map(|tensor| tensor.values.as_slice()))?;
        let score = held_out.score(&mut **learner, &AtomicBool::new(false), |_| {})?;
        let report = EvalReport {
            step: self.steps,
            loss: score.loss(),
            bits_per_byte: score.bits_per_byte(),
            perplexity: score.perplexity(),
        };
        self.recorder.evaluation(report, shown)
    }

    pub(super) fn save(&mut self) -> Result<()> {
        self.idle_learner()?;
        let LearnerState::Idle(learner) = &self.learner else { return Ok(()) };
        let present = Present {
            run: self.light_client.run().id(),
            position: self.light_client.position(),
            replica: &self.replica,
            moments: learner.saved_moments(),
            error_feedback: self.compressor.errors(),
            delta: self.pending.as_ref().map(|pending| &pending.delta),
            steps: self.steps,
            tokens: learner.tokens(),
            warmup_from: self.warmup_from,
            elapsed: self.recorder.elapsed(),
        };
        self.recorder.save(present, &self.spec)
    }
}

/// Returns true if weights are evaluated after a round that took the run from step `before` to step
/// `after`. Void rounds do not move the run.
fn is_due(before: u64, after: u64, every: u64, total: u64) -> bool {
    // The last round may end between two multiples, so the total counts as one.
    after > before && (after / every > before / every || after >= total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_are_due_at_each_multiple_and_at_the_end() {
        let rounds = [(0, 15), (15, 30), (30, 30), (30, 45), (45, 60), (60, 60)];
        assert_eq!(
            rounds.map(|(before, after)| is_due(before, after, 20, 50)),
            [false, true, false, true, true, false]
        );
        assert!(is_due(0, 45, 20, 50), "a jump passes what the rounds in between would have");
        assert!(is_due(45, 50, 20, 50) && !is_due(50, 50, 20, 50), "the last one, once");
        assert!(
            is_due(5, 20, 20, 50) && !is_due(20, 35, 20, 50),
            "a multiple belongs to the round that reaches it"
        );
    }
}
