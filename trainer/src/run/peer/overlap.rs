//! Training the next round while the current one is exchanged (`rounds.overlap`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use covey_comms::membership::Slot;
use covey_data::sampling::Assignment;

use super::inner_phase::{InnerPhase, StepLine};
use super::round_loop::RoundLoop;
use crate::config::schema::Config;
use crate::system::error::{Context, Failure, Result};
use crate::training::checkpoint::NamedTensor;
use crate::training::learner::Learner;

/// The learner of a peer, or the thread that trains the next round with it.
pub(super) enum LearnerState {
    /// The learner is here.
    Idle(Box<Learner>),
    /// A thread trains with it.
    Overlapping(OverlapTraining),
}

/// An inner phase on its own thread.
pub(super) struct OverlapTraining {
    pub(super) inner_phase: InnerPhase,
    /// The weights from which it started, in canonical order.
    start: Vec<NamedTensor>,
    stop: Arc<AtomicBool>,
    lines: Receiver<StepLine>,
    finished: Receiver<Finished>,
}

/// The learner as the thread returns it.
struct Finished {
    learner: Box<Learner>,
    /// True if all inner steps were made.
    outcome: Result<bool>,
    elapsed: Duration,
}

impl OverlapTraining {
    /// Starts a thread that waits for a learner and then trains with it from the weights `start`.
    ///
    /// The learner is sent afterwards: if the system has no thread to give, it stays where it is.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    fn start(
        inner_phase: InnerPhase,
        start: Vec<NamedTensor>,
        assignment: Arc<Assignment>,
        config: Config,
    ) -> Result<(Self, Sender<Box<Learner>>)> {
        let stop = Arc::new(AtomicBool::new(false));
        let (hand_over, learners) = channel::<Box<Learner>>();
        let (sender, lines) = channel();
        let (done, finished) = channel();
        let interrupt = Arc::clone(&stop);
        thread::Builder::new()
            .name("overlap".into())
            .spawn(move || {
                let Ok(mut learner) = learners.recv() else { return };
                let began = Instant::now();
                let outcome =
                    inner_phase.train(&mut learner, &assignment, &config, &interrupt, |line| {
                        // The receiver is dropped only together with this phase, and the line is
                        // not needed then.
                        let _ = sender.send(line);
                        Ok(())
                    });
                let _ = done.send(Finished { learner, outcome, elapsed: began.elapsed() });
            })
            .context("cannot start a thread")?;
        Ok((Self { inner_phase, start, stop, lines, finished }, hand_over))
    }

    /// The steps made since the last call.
    pub(super) fn lines(&self) -> impl Iterator<Item = StepLine> + '_ {
        self.lines.try_iter()
    }

    /// Waits for the thread to return the learner.
    fn wait(&self) -> Result<Finished> {
        // The channel closes without a message only if the thread panicked.
        self.finished.recv().context("the training thread panicked")
    }
}

impl RoundLoop {
    /// Starts the next round while this one is exchanged, if the run is configured so.
    ///
    /// The deltas of the other peers are not known yet, so training starts from the shared weights
    /// moved by this peer's own delta. The pseudo-gradient is published against the weights of
    /// that round, one round late. The slots of that round are not known either, so the peer keeps
    /// its current one.
    pub(super) fn train_overlapping(&mut self, slot: Slot) -> Result<()> {
        let outer_steps = self.light_client.outer_steps();
        let next =
            self.light_client.next().next().filter(|_| outer_steps + 1 < self.spec.outer_steps());
        let (Some(pending), Some(round), true) = (&self.pending, next, self.config.rounds.overlap)
        else {
            return Ok(());
        };
        let LearnerState::Idle(learner) = &mut self.learner else { return Ok(()) };
        let rate = self.config.sparseloco().outer_learning_rate.rate(outer_steps);
        let start = self.replica.moved_by(&pending.delta, rate);
        learner.set_weights(start.iter().map(|tensor| tensor.values.as_slice()))?;
        let inner_phase = self.inner_phase(round, slot, outer_steps + 1);
        let (overlap, hand_over) = OverlapTraining::start(
            inner_phase,
            start,
            Arc::clone(&self.assignment),
            self.config.clone(),
        )?;
        let overlapping = LearnerState::Overlapping(overlap);
        if let LearnerState::Idle(learner) = std::mem::replace(&mut self.learner, overlapping)
            && let Err(returned) = hand_over.send(learner)
        {
            self.learner = LearnerState::Idle(returned.0);
            return Err(Failure::new("the training thread ended before it began"));
        }
        Ok(())
    }

    /// Ends the overlapping phase, if there is one, and returns its pseudo-gradient if it trained
    /// `round` to the end. A phase of another round is discarded: a void round or a jump came
    /// between.
    pub(super) fn finish_overlap(
        &mut self,
        round: covey_comms::primitives::Round,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        let LearnerState::Overlapping(overlap) = &self.learner else { return Ok(None) };
        if overlap.inner_phase.round != round {
            self.idle_learner()?;
            return Ok(None);
        }
        let finished = overlap.wait()?;
        overlap.lines().try_for_each(|line| self.recorder.step(line))?;
        let trained = finished.learner.named_weights();
        let pseudo_gradient = self.replica.difference(overlap.start.iter(), &trained);
        self.learner = LearnerState::Idle(finished.learner);
        // Nothing raises this phase's stop flag before it is joined, so all steps were made.
        finished.outcome?;
        self.steps += self.config.rounds.inner_steps;
        self.timings.train = finished.elapsed;
        if let Some(shown) = self.unmeasured.take() {
            self.evaluate(shown)?;
        }
        Ok(Some(pseudo_gradient))
    }

    /// The learner; an overlapping phase is stopped and discarded.
    ///
    /// # Errors
    /// If the training thread panicked.
    pub(super) fn idle_learner(&mut self) -> Result<&mut Learner> {
        if let LearnerState::Overlapping(overlap) = &self.learner {
            overlap.stop.store(true, Ordering::SeqCst);
            self.learner = LearnerState::Idle(overlap.wait()?.learner);
        }
        match &mut self.learner {
            LearnerState::Idle(learner) => Ok(learner),
            LearnerState::Overlapping(_) => {
                Err(Failure::new("the training thread kept the learner"))
            }
        }
    }
}
