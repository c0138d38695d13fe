//! What shards hold, read and set piece by piece: weights, moments, the optimizer's state.

use std::ops::Range;

use super::error::FsdpError;
use super::sharded_parameters::ShardedParameters;
use crate::inner::{AdamW, AdamWState, MomentTensors, Moments, cpu_tensor, tensor, values};

/// Bytes that a member's tensors take up, apart from gathered units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardBytes {
    /// The fp32 masters.
    pub weights: usize,
    /// The fp32 gradients.
    pub gradients: usize,
    /// Both moments; 0 before the first step and while they are in host memory.
    pub moments: usize,
}

impl ShardBytes {
    /// All of them.
    pub fn total(&self) -> usize {
        self.weights + self.gradients + self.moments
    }
}

impl ShardedParameters {
    /// A copy of a parameter's weights.
    pub fn weight(&self, parameter: usize) -> Vec<f32> {
        self.weight_pieces(parameter).flatten().collect()
    }

    /// Copies of a parameter's weights, one for each of its pieces ([`Plan::pieces`](super::plan::Plan::pieces)), each made when
    /// it is asked for.
    pub fn weight_pieces(&self, parameter: usize) -> impl Iterator<Item = Vec<f32>> {
        self.weights[self.plan.piece_places(parameter)].iter().map(values)
    }

    /// A copy of a parameter's gradients, those of all members added up.
    pub fn gradient(&self, parameter: usize) -> Vec<f32> {
        self.gradients[self.plan.piece_places(parameter)].iter().flat_map(values).collect()
    }

    /// Puts other weights in the place of a parameter's; its moments stay.
    ///
    /// # Errors
    ///
    /// [`FsdpError::Length`] for another number of elements; nothing is changed then.
    pub fn set_weight(&mut self, parameter: usize, weights: &[f32]) -> Result<(), FsdpError> {
        check_length("weights", parameter, self.plan.elements(parameter), weights.len())?;
        self.forget_what_was_gathered();
        for (place, piece) in self.plan.piece_places(parameter).zip(self.plan.pieces(parameter)) {
            self.weights[place] =
                tensor(weights[piece.range.clone()].to_vec(), &self.devices[piece.member]);
        }
        Ok(())
    }

    /// Puts other weights in the place of all: those that `fill` gives for a range of a parameter, in the order of
    /// parameters. Moments stay.
    ///
    /// # Errors
    ///
    /// Those of `fill` and a wrong length of what it gives. The pieces before are changed then: nothing is held twice.
    pub fn set_weights<E: From<FsdpError>>(
        &mut self,
        mut fill: impl FnMut(usize, Range<usize>) -> Result<Vec<f32>, E>,
    ) -> Result<(), E> {
        self.forget_what_was_gathered();
        for (place, (parameter, piece)) in self.plan.all_pieces().enumerate() {
            let weights = fill(parameter, piece.range.clone())?;
            check_length("weights", parameter, piece.range.len(), weights.len())?;
            self.weights[place] = tensor(weights, &self.devices[piece.member]);
        }
        Ok(())
    }

    /// A copy of a parameter's moments; nothing before the first step.
    pub fn moments(&self, parameter: usize) -> Option<Moments> {
        self.moment_pieces(parameter).reduce(|mut whole, piece| {
            whole.first.extend(piece.first);
            whole.second.extend(piece.second);
            whole
        })
    }

    /// Copies of a parameter's moments, one for each of its pieces, each made when it is asked for; none before the first
    /// step.
    pub fn moment_pieces(&self, parameter: usize) -> impl Iterator<Item = Moments> {
        self.plan.piece_places(parameter).filter_map(|place| self.optimizer.moments(place))
    }

    /// A copy of all that the optimizer remembers, by parameter: the same for any number of members.
    pub fn state(&self) -> AdamWState {
        let moments =
            (0..self.plan.num_parameters()).filter_map(|parameter| self.moments(parameter));
        AdamWState { steps: self.steps(), moments: moments.collect() }
    }

    /// Goes on from a state, of this or another number of members.
    ///
    /// # Errors
    ///
    /// Another number of parameters or elements; nothing is changed then.
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
            let part = |moments: &Moments| Moments {
                first: moments.first[range.clone()].to_vec(),
                second: moments.second[range.clone()].to_vec(),
            };
            Ok(state.moments.get(parameter).map(part))
        })
    }

    /// Goes on after `steps` steps with the moments that `fill` gives for a range of a parameter, in the order of
    /// parameters; they begin at zero if it gives none for the first.
    ///
    /// # Errors
    ///
    /// Those of `fill`, a wrong length of what it gives, and moments for some parameters but not for all; nothing is
    /// changed then.
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
            tensors.push(MomentTensors::on(&self.devices[piece.member], moments));
        }
        if pieces != 0 && pieces != self.weights.len() {
            let (expected, got) = (self.weights.len(), pieces);
            return Err(FsdpError::ParameterCount { what: "moments", expected, got }.into());
        }
        self.optimizer = AdamW::continued(self.optimizer.config(), steps, tensors);
        Ok(())
    }

    /// What a member's tensors take up now, as the tensors say it.
    pub fn bytes(&self, member: usize) -> ShardBytes {
        let places =
            self.plan.all_pieces().enumerate().filter(|(_, (_, piece))| piece.member == member);
        places.fold(ShardBytes::default(), |sum, (place, _)| {
            let moments = self.optimizer.moment_tensors().get(place);
            ShardBytes {
                weights: sum.weights + cpu_tensor::bytes(&self.weights[place]),
                gradients: sum.gradients + cpu_tensor::bytes(&self.gradients[place]),
                moments: sum.moments
                    + moments.map_or(0, |own| {
                        cpu_tensor::bytes(&own.first) + cpu_tensor::bytes(&own.second)
                    }),
            }
        })
    }

    /// Makes all pieces: weights as `fill` gives them, gradients of zero.
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
