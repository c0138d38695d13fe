//! The loss probe: losses on the windows of an evaluation, with and without a delta.

use std::collections::BTreeMap;

use covey_comms::gauntlet::scoring::{EvaluationRequest, Measurement, ProbeLosses};
use covey_comms::objects::Clip;
use covey_comms::primitives::PeerId;
use covey_optim::sparseloco::{Delta, TensorDelta, clip_scales};

use super::probe_batches::{DeltaEvaluationError, Passage, ProbeBatches};
use crate::eval::LanguageModel;
use crate::run::replica::Replica;
use crate::training::Activity;
use crate::training::learner::Learner;

/// Upper limit of a loss in nats per token. It also replaces NaN, because verdicts contain finite
/// numbers only.
const LOSS_LIMIT: f64 = 1e6;

/// A network whose weights are set to those after each delta in turn.
pub(super) struct LossProbe<'a> {
    replica: &'a Replica,
    reader: &'a mut Learner,
    admitted: &'a BTreeMap<PeerId, &'a Delta>,
    /// Step length along each admitted delta, by tensor in the order of the schema.
    steps: Vec<Vec<f32>>,
}

impl<'a> LossProbe<'a> {
    /// The step along a delta is a share of the outer learning rate, and shorter for deltas with a
    /// norm above the median of the admitted ones (Gauntlet: `theta' = theta - beta clip(delta)`).
    pub(super) fn new(
        trial: &EvaluationRequest<'_>,
        replica: &'a Replica,
        reader: &'a mut Learner,
        admitted: &'a BTreeMap<PeerId, &'a Delta>,
    ) -> Self {
        let rate = (trial.eval_rate * trial.outer.alpha) as f32;
        let steps = |index| -> Vec<f32> {
            let tensors: Vec<TensorDelta<'_>> =
                admitted.values().map(|delta| delta.tensor(index)).collect();
            match trial.outer.clip {
                Clip::MedianNorm => {
                    clip_scales(&tensors).into_iter().map(|scale| rate * scale).collect()
                }
                Clip::Off => vec![rate; tensors.len()],
            }
        };
        let steps = (0..replica.schema().tensors().len()).map(steps).collect();
        Self { replica, reader, admitted, steps }
    }

    /// Measures the losses of every evaluated peer.
    ///
    /// Costs 2 + 4 n passes over `windows` windows for n peers.
    pub(super) fn measure(
        &mut self,
        probe_batches: &ProbeBatches,
    ) -> Result<BTreeMap<PeerId, Measurement>, DeltaEvaluationError> {
        self.reader.set_weights(self.replica.weights().map(|tensor| tensor.values.as_slice()))?;
        let before = self.answers(probe_batches)?;
        let typical = match self.admitted.len() {
            0 | 1 => before.clone(),
            others => {
                self.follow(|_| 1.0 / others as f32)?;
                self.answers(probe_batches)?
            }
        };
        let (activity, total) =
            (Activity::new("measuring what deltas do"), probe_batches.own.len());
        let mut measurements = BTreeMap::new();
        for (place, (peer, own)) in probe_batches.own.iter().enumerate() {
            activity.show(&format!("{place} of {total}"));
            if !self.admitted.contains_key(peer) {
                return Err(DeltaEvaluationError::NotAdmitted { peer: *peer });
            }
            self.follow(|other| if other == *peer { 1.0 } else { 0.0 })?;
            let losses = |after, before: &[f64], typical: &[f64], place: usize| ProbeLosses {
                before: before[place],
                after,
                typical: typical[place],
            };
            let own = losses(self.mean_loss(own)?, &before, &typical, place);
            let random = losses(self.mean_loss(&probe_batches.random)?, &before, &typical, total);
            measurements.insert(*peer, Measurement { own, random });
        }
        activity.finish(&format!("measured {total} deltas"));
        Ok(measurements)
    }

    /// Returns the losses on the assigned windows of all evaluated peers in their order, and last
    /// on the random windows.
    fn answers(&mut self, probe_batches: &ProbeBatches) -> Result<Vec<f64>, DeltaEvaluationError> {
        probe_batches
            .own
            .values()
            .chain([&probe_batches.random])
            .map(|passage| self.mean_loss(passage))
            .collect()
    }

    /// Sets the weights of the reader to those after a mixture of deltas, one tensor at a time. A
    /// second copy of the network is never in memory.
    fn follow(&mut self, share: impl Fn(PeerId) -> f32) -> Result<(), DeltaEvaluationError> {
        for parameter in 0..self.replica.weights().len() {
            let (place, tensor) =
                self.replica.tensor(parameter).expect("there are as many as weights");
            let mut values = tensor.values.clone();
            for ((peer, delta), step) in self.admitted.iter().zip(&self.steps[place]) {
                let share = share(*peer);
                if share > 0.0 {
                    let dense = delta.tensor(place).dense();
                    values
                        .iter_mut()
                        .zip(dense)
                        .for_each(|(weight, value)| *weight -= share * step * value);
                }
            }
            self.reader.set_weight(parameter, &values)?;
        }
        Ok(())
    }

    /// Mean cross-entropy per token, in nats.
    fn mean_loss(&mut self, passage: &Passage) -> Result<f64, DeltaEvaluationError> {
        let targets = passage.tokens.len() - passage.windows;
        let loss = self.reader.loss(&passage.tokens, passage.windows)? / targets as f64;
        Ok(if loss < LOSS_LIMIT { loss } else { LOSS_LIMIT })
    }
}
