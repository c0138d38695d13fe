//! The loss probe: losses on the windows of an evaluation, with and without a delta.

use std::collections::BTreeMap;

use covey_comms::gauntlet::scoring::{EvaluationRequest, Measurement, ProbeLosses};
use covey_comms::objects::Clipping;
use covey_comms::primitives::PeerId;
use covey_optim::sparseloco::{Delta, TensorDelta, clip_scales};

use super::probe_batches::{DeltaEvaluationError, ProbeBatches, WindowGroup};
use crate::eval::LanguageModel;
use crate::run::replica::Replica;
use crate::training::Activity;
use crate::training::learner::Learner;

/// Upper limit of a loss in nats per token. It also replaces NaN, because verdicts contain finite
/// numbers only.
const LOSS_LIMIT: f64 = 1e6;

/// A network that gets the weights after each delta in turn.
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
        request: &EvaluationRequest<'_>,
        replica: &'a Replica,
        reader: &'a mut Learner,
        admitted: &'a BTreeMap<PeerId, &'a Delta>,
    ) -> Self {
        // In fp32, like the weights that it changes.
        let rate = (request.eval_rate * request.outer.alpha) as f32;
        let steps = (0..replica.schema().tensors().len())
            .map(|index| step_lengths(admitted, index, rate, request.outer.clip))
            .collect();
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
        let before = self.base_losses(probe_batches)?;
        // The mean of all deltas is the reference of a gain. A single delta would be compared with
        // itself, so the reference is the loss without any delta then.
        let typical = match self.admitted.len() {
            0 | 1 => before.clone(),
            others => {
                self.set_mixture(|_| 1.0 / others as f32)?;
                self.base_losses(probe_batches)?
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
            self.set_mixture(|other| if other == *peer { 1.0 } else { 0.0 })?;
            let after = self.mean_loss(own)?;
            let own = ProbeLosses { before: before[place], after, typical: typical[place] };
            let after = self.mean_loss(&probe_batches.random)?;
            let random = ProbeLosses { before: before[total], after, typical: typical[total] };
            measurements.insert(*peer, Measurement { own, random });
        }
        activity.finish(&format!("measured {total} deltas"));
        Ok(measurements)
    }

    /// Returns the losses on the assigned windows of all evaluated peers in their order, and last
    /// on the random windows.
    fn base_losses(
        &mut self,
        probe_batches: &ProbeBatches,
    ) -> Result<Vec<f64>, DeltaEvaluationError> {
        probe_batches
            .own
            .values()
            .chain([&probe_batches.random])
            .map(|group| self.mean_loss(group))
            .collect()
    }

    /// Sets the weights of the reader to those after a mixture of deltas, one tensor at a time. A
    /// second copy of the network is never in memory.
    fn set_mixture(&mut self, share: impl Fn(PeerId) -> f32) -> Result<(), DeltaEvaluationError> {
        for parameter in 0..self.replica.weights().len() {
            let (place, tensor) =
                self.replica.tensor(parameter).expect("there are as many as weights");
            let mut values = tensor.values.clone();
            for ((peer, delta), step) in self.admitted.iter().zip(&self.steps[place]) {
                let share = share(*peer);
                // Other deltas are skipped: their dense values would cost a pass over the tensor
                // each.
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
    fn mean_loss(&mut self, group: &WindowGroup) -> Result<f64, DeltaEvaluationError> {
        let targets = group.tokens.len() - group.num_windows;
        let loss = self.reader.loss(&group.tokens, group.num_windows)? / targets as f64;
        // The comparison is false for NaN as well.
        Ok(if loss < LOSS_LIMIT { loss } else { LOSS_LIMIT })
    }
}

/// Step lengths along the tensor `index` of all admitted deltas.
fn step_lengths(
    admitted: &BTreeMap<PeerId, &Delta>,
    index: usize,
    rate: f32,
    clip: Clipping,
) -> Vec<f32> {
    let tensors: Vec<TensorDelta<'_>> =
        admitted.values().map(|delta| delta.tensor(index)).collect();
    match clip {
        Clipping::MedianNorm => {
            clip_scales(&tensors).into_iter().map(|scale| rate * scale).collect()
        }
        Clipping::Off => vec![rate; tensors.len()],
    }
}
