//! What a delta does to the model: losses with and without it.

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

/// A loss that is larger, or no number, counts as this many nats per token: everything that is written down is finite.
const LOSS_LIMIT: f64 = 1e6;

/// A network on which deltas are tried, one after the other.
pub(super) struct LossProbe<'a> {
    replica: &'a Replica,
    reader: &'a mut Learner,
    admitted: &'a BTreeMap<PeerId, &'a Delta>,
    /// How far each admitted delta is followed, by tensors in the order of the schema.
    steps: Vec<Vec<f32>>,
}

impl<'a> LossProbe<'a> {
    /// Deltas are followed by a share of the outer learning rate, and less far where they are longer than the median
    /// of the admitted (Gauntlet: `theta' = theta - beta clip(delta)`).
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

    /// Losses of every evaluated peer.
    ///
    /// Costs 2 + 4 n passes over as many windows as the trial names, for n peers.
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

    /// Losses on the own windows of all evaluated peers in their order, and last on the random ones.
    fn answers(&mut self, probe_batches: &ProbeBatches) -> Result<Vec<f64>, DeltaEvaluationError> {
        probe_batches
            .own
            .values()
            .chain([&probe_batches.random])
            .map(|passage| self.mean_loss(passage))
            .collect()
    }

    /// Gives the reader the weights that a mixture of deltas leads to, tensor by tensor, so that there is never a second
    /// network.
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
