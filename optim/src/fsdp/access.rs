//! Access to shards piece by piece: weights, moments, and the state of the optimizer.

use std::ops::Range;

use super::error::FsdpError;
use super::sharded_parameters::ShardedParameters;
use crate::inner::{AdamW, AdamWState, MomentTensors, Moments, cpu_tensor, tensor, values};

/// The memory of the tensors of one member in bytes, without gathered units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardBytes {
    /// fp32 weights.
    pub weights: usize,
    /// fp32 gradients.
    pub gradients: usize,
    /// Both moments; 0 before the first step and while they are in host memory.
    pub moments: usize,
}

impl ShardBytes {
    /// The sum of all.
    pub fn total(&self) -> usize {
        self.weights + self.gradients + self.moments
    }
}

impl ShardedParameters {
    /// Copies the weights of a parameter.
    pub fn weight(&self, parameter: usize) -> Vec<f32> {
        self.weight_pieces(parameter).flatten().collect()
    }

    /// Copies the weights of a parameter, one copy per piece
    /// ([`Plan::pieces`](super::plan::Plan::pieces)), each when the iterator reaches it.
    pub fn weight_pieces(&self, parameter: usize) -> impl Iterator<Item = Vec<f32>> {
        self.weights[self.plan.piece_places(parameter)].iter().map(values)
    }

    /// Copies the gradients of a parameter, summed over all members.
    pub fn gradient(&self, parameter: usize) -> Vec<f32> {
        self.gradients[self.plan.piece_places(parameter)].iter().flat_map(values).collect()
    }

    /// Replaces the weights of a parameter. Its moments stay.
    ///
    /// # Errors
    ///
    /// [`FsdpError::Length`] if the number of elements differs; the weights are unchanged in that
    /// case.
    pub fn set_weight(&mut self, parameter: usize, weights: &[f32]) -> Result<(), FsdpError> {
        check_length("weights", parameter, self.plan.elements(parameter), weights.len())?;
        self.drop_prefetched();
        for (place, piece) in self.plan.piece_places(parameter).zip(self.plan.pieces(parameter)) {
            self.weights[place] =
                tensor(weights[piece.range.clone()].to_vec(), &self.devices[piece.member]);
        }
        Ok(())
    }

    /// Replaces all weights by those that `fill` returns for a range of a parameter, in the order
    /// of parameters. Moments stay.
    ///
    /// # Errors
    ///
    /// Those of `fill`, and [`FsdpError::Length`]. Earlier pieces are changed in that case.
    pub fn set_weights<E: From<FsdpError>>(
        &mut self,
        mut fill: impl FnMut(usize, Range<usize>) -> Result<Vec<f32>, E>,
    ) -> Result<(), E> {
        self.drop_prefetched();
        // Each piece is replaced at once: a second copy of all weights would double the memory.
        for (place, (parameter, piece)) in self.plan.all_pieces().enumerate() {
            let weights = fill(parameter, piece.range.clone())?;
            check_length("weights", parameter, piece.range.len(), weights.len())?;
            self.weights[place] = tensor(weights, &self.devices[piece.member]);
        }
        Ok(())
    }

    /// Copies the moments of a parameter. Returns `None` before the first step.
    pub fn moments(&self, parameter: usize) -> Option<Moments> {
        self.moment_pieces(parameter).reduce(|mut whole, piece| {
            whole.first.extend(piece.first);
            whole.second.extend(piece.second);
            whole
        })
    }

    /// Copies the moments of a parameter, one copy per piece, each when the iterator reaches it.
    /// Empty before the first step.
    pub fn moment_pieces(&self, parameter: usize) -> impl Iterator<Item = Moments> {
        self.plan.piece_places(parameter).filter_map(|place| self.optimizer.moments(place))
    }

    /// Copies the state of the optimizer, by parameter: the same for any number of members.
    pub fn state(&self) -> AdamWState {
        let moments =
            (0..self.plan.num_parameters()).filter_map(|parameter| self.moments(parameter));
        AdamWState { steps: self.steps(), moments: moments.collect() }
    }

    /// Restores a state of this or another number of members.
    ///
    /// # Errors
    ///
    /// [`FsdpError`] if the number of parameters or a length differs; the state is unchanged in
    /// that case.
    pub fn restore(&mut self, state: &AdamWState) -> Result<(), FsdpError> {
        let (expected, got) = (self.plan.num_parameters(), state.moments.len());
        if got != 0 && got != expected {
            return Err(FsdpError::ParameterCount { what: "moments", expected, got });
        }
        for (parameter, moments) in state.moments.iter().enumerate() {
            let expected = self.plan.elements(parameter);
            check_length("first moment", parameter, expected, moments.first.len())?;
            check_length("second moment", parameter, expected, moments.second.len())?;
        }
        self.restore_pieces(state.steps, |parameter, range| {
            Ok(state.moments.get(parameter).map(|moments| Moments {
                first: moments.first[range.clone()].to_vec(),
                second: moments.second[range].to_vec(),
            }))
        })
    }

    /// Restores a state after `steps` steps with the moments that `fill` returns for a range of a
    /// parameter, in the order of parameters. If `fill` returns `None` for all, moments are zero.
    ///
    /// # Errors
    ///
    /// Those of `fill`, [`FsdpError::Length`], and [`FsdpError::ParameterCount`] if moments of some
    /// parameters are missing. The state is unchanged in these cases.
    pub fn restore_pieces<E: From<FsdpError>>(
        &mut self,
        steps: u64,
        mut fill: impl FnMut(usize, Range<usize>) -> Result<Option<Moments>, E>,
    ) -> Result<(), E> {
        let (mut tensors, mut pieces) = (Vec::new(), 0);
        for (parameter, piece) in self.plan.all_pieces() {
            let Some(moments) = fill(parameter, piece.range.clone())? else { continue };
            pieces += 1;
            check_length("first moment", parameter, piece.range.len(), moments.first.len())?;
            check_length("second moment", parameter, piece.range.len(), moments.second.len())?;
            tensors.push(MomentTensors::from_host(&self.devices[piece.member], moments));
        }
        // A checkpoint before the first step has no moments. Moments of only some pieces would
        // shift the order of all later ones.
        if pieces != 0 && pieces != self.weights.len() {
            let (expected, got) = (self.weights.len(), pieces);
            return Err(FsdpError::ParameterCount { what: "moments", expected, got }.into());
        }
        self.optimizer = AdamW::resumed(self.optimizer.config(), steps, tensors);
        Ok(())
    }

    /// The memory of the tensors of a member now, read from the tensors themselves.
    pub fn bytes(&self, member: usize) -> ShardBytes {
        let places =
            self.plan.all_pieces().enumerate().filter(|(_, (_, piece))| piece.member == member);
        places.fold(ShardBytes::default(), |sum, (place, _)| {
            let moments = self.optimizer.moment_tensors().get(place);
            ShardBytes {
                weights: sum.weights + cpu_tensor::bytes(&self.weights[place]),
                gradients: sum.gradients + cpu_tensor::bytes(&self.gradients[place]),
                moments: sum.moments
                    + moments.map_or(0, |moments| {
                        cpu_tensor::bytes(&moments.first) + cpu_tensor::bytes(&moments.second)
                    }),
            }
        })
    }

    /// Creates all pieces: weights from `fill`, gradients of zero.
    pub(super) fn fill<E: From<FsdpError>>(
        &mut self,
        mut fill: impl FnMut(usize, Range<usize>) -> Result<Vec<f32>, E>,
    ) -> Result<(), E> {
        for (parameter, piece) in self.plan.all_pieces() {
            let weights = fill(parameter, piece.range.clone())?;
            check_length("weights", parameter, piece.range.len(), weights.len())?;
            let weights = tensor(weights, &self.devices[piece.member]);
            self.gradients.push(weights.zeros_like());
            self.weights.push(weights);
        }
        Ok(())
    }
}

fn check_length(
    what: &'static str,
    parameter: usize,
    expected: usize,
    got: usize,
) -> Result<(), FsdpError> {
    if expected == got { Ok(()) } else { Err(FsdpError::Length { what, parameter, expected, got }) }
}
