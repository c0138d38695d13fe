//! The pieces of a model on its devices, and the way they take through a training step.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{DType, Device, FloatDType, Tensor};

use super::collective;
use super::error::FsdpError;
use super::plan::Plan;
use crate::error::OptimError;
use crate::inner::{AdamW, AdamWConfig, clear, global_norm};

/// A model divided among members: fp32 masters, fp32 gradients and AdamW's moments, each piece on its owner's device.
///
/// Whole weights are made unit by unit ([`gather`](Self::gather)) and are gone when their holder drops them. Gradients
/// of whole units come back as one sum per member ([`reduce`](Self::reduce)); what is kept of them is the pieces.
///
/// - One member is the model itself: its weights and gradients are handed out as they are, and nothing is copied.
/// - Pieces have no other holder between a unit's use and the next, so that a step on the CPU changes them in place.
/// - What it holds of a parameter can be read and set piece by piece, on the host nothing is larger than a piece.
#[derive(Debug)]
pub struct ShardedParameters {
    pub(super) plan: Arc<Plan>,
    pub(super) devices: Vec<Device>,
    compute: DType,
    /// In the order of [`Plan::all_pieces`], like the gradients and the parameters of the optimizer.
    pub(super) weights: Vec<Tensor<1>>,
    pub(super) gradients: Vec<Tensor<1>>,
    pub(super) optimizer: AdamW,
    /// Units that were gathered before they were asked for, whole, one vector per member.
    ahead: Vec<Option<Vec<Tensor<1>>>>,
}

impl ShardedParameters {
    /// Fills every piece with the weights that `fill` gives for a range of a parameter, in the order of parameters.
    ///
    /// Members compute in the precision `compute`. Moments begin at zero.
    ///
    /// # Errors
    ///
    /// Those of `fill`, a wrong length of what it gives, and another number of devices than the plan has members.
    pub fn new<E: From<FsdpError>>(
        plan: Arc<Plan>,
        devices: Vec<Device>,
        compute: FloatDType,
        optimizer: AdamWConfig,
        fill: impl FnMut(usize, Range<usize>) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        if devices.len() != plan.members() {
            return Err(
                FsdpError::DeviceCount { expected: plan.members(), got: devices.len() }.into()
            );
        }
        let ahead = vec![None; plan.num_units()];
        let (weights, gradients, optimizer) = (Vec::new(), Vec::new(), AdamW::new(optimizer));
        let mut shards =
            Self { plan, devices, compute: compute.into(), weights, gradients, optimizer, ahead };
        shards.fill(fill)?;
        Ok(shards)
    }

    /// Who owns what.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The device of each member.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Begins to bring the weights of `unit` together; they are kept until [`gather`](Self::gather) takes them.
    pub fn prefetch(&mut self, unit: usize) {
        if self.plan.members() > 1 && self.ahead[unit].is_none() {
            self.ahead[unit] = Some(self.brought_together(unit));
        }
    }

    /// The whole weights of `unit` in the compute precision: for each member its parameters, flat, on its device.
    pub fn gather(&mut self, unit: usize) -> Vec<Vec<Tensor<1>>> {
        if self.plan.members() == 1 {
            let parameters = self.plan.parameters(unit);
            return vec![
                self.weights[parameters]
                    .iter()
                    .map(|weight| self.in_compute_precision(weight))
                    .collect(),
            ];
        }
        let whole = self.ahead[unit].take().unwrap_or_else(|| self.brought_together(unit));
        whole.into_iter().map(|vector| self.cut_into_parameters(unit, vector)).collect()
    }

    /// fp32 sums to add gradients of `unit` to: for each member its parameters, whole and flat, on its device.
    ///
    /// Those of a single member are its gradients so far, moved out; it has none until they are brought back.
    pub fn gradients(&mut self, unit: usize) -> Vec<Vec<Tensor<1>>> {
        let parameters = self.plan.parameters(unit);
        if self.plan.members() == 1 {
            let take =
                |own: &mut Tensor<1>| std::mem::replace(own, Tensor::empty([1], &self.devices[0]));
            return vec![self.gradients[parameters].iter_mut().map(take).collect()];
        }
        let zeros = |device| {
            let whole =
                |parameter| Tensor::zeros([self.plan.elements(parameter)], (device, DType::F32));
            parameters.clone().map(whole).collect()
        };
        self.devices.iter().map(zeros).collect()
    }

    /// Takes back what [`gradients`](Self::gradients) gave: adds the sums of all members up, and each keeps its pieces.
    ///
    /// # Panics
    ///
    /// For other tensors than those of the unit.
    pub fn reduce(&mut self, unit: usize, sums: Vec<Vec<Tensor<1>>>) {
        if self.plan.members() == 1 {
            let own = &mut self.gradients[self.plan.parameters(unit)];
            return own
                .iter_mut()
                .zip(sums.into_iter().flatten())
                .for_each(|(own, sum)| *own = sum);
        }
        // One member after the other, so that its sums are freed before the next vector is made.
        let vectors = sums.into_iter().map(|sums| self.padded_by_member(unit, &sums)).collect();
        for (member, share) in collective::reduce(vectors).into_iter().enumerate() {
            let mut start = 0;
            for own in self.pieces_of(unit, member) {
                let end = start + own.range.len();
                add(&mut self.gradients[own.place], share.clone().slice(start..end));
                start = end;
            }
        }
    }

    /// Sets all gradients to zero, in their own memory where they have no other holder.
    pub fn clear_gradients(&mut self) {
        clear(&mut self.gradients);
    }

    /// The L2 norm of the gradients of all members, taken as one vector.
    ///
    /// # Errors
    ///
    /// [`OptimError::NonFiniteGradient`] names the first parameter with a NaN or an infinity.
    pub fn gradient_norm(&self) -> Result<f64, OptimError> {
        global_norm(&self.gradients).map_err(|error| error.at(|place| self.parameter_at(place)))
    }

    /// One AdamW update of every member's pieces by its gradients times `gradient_scale`.
    ///
    /// # Errors
    ///
    /// As [`AdamW::step`]; places are those of parameters.
    pub fn step(&mut self, learning_rate: f64, gradient_scale: f32) -> Result<(), OptimError> {
        self.forget_what_was_gathered();
        let pairs = self.weights.iter_mut().zip(&self.gradients);
        let outcome = self.optimizer.step(pairs, learning_rate, gradient_scale);
        outcome.map_err(|error| error.at(|place| self.parameter_at(place)))
    }

    /// Updates made.
    pub fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// Moves the moments to host memory for a phase that needs the devices' memory for something else; nothing where
    /// that is the same memory.
    pub fn offload_moments(&mut self) {
        self.optimizer.offload();
    }

    /// Begins to move the moments back. Called early, the transfer goes on while other things are computed: the first
    /// step needs them, and calls this itself if nobody did.
    pub fn reload_moments(&mut self) {
        self.optimizer.reload();
    }

    /// A member's pieces of a unit, in order: their places among all, and their elements of the parameter.
    fn pieces_of(&self, unit: usize, member: usize) -> Vec<Own> {
        let parameters = self.plan.parameters(unit);
        let pieces = parameters.flat_map(|parameter| {
            let places = self.plan.piece_places(parameter);
            places
                .zip(self.plan.pieces(parameter))
                .map(move |(place, piece)| (parameter, place, piece))
        });
        let own = pieces.filter(|(.., piece)| piece.member == member);
        own.map(|(parameter, place, piece)| Own { parameter, place, range: piece.range.clone() })
            .collect()
    }

    /// The whole unit as one vector for every member.
    fn brought_together(&self, unit: usize) -> Vec<Tensor<1>> {
        let share = |(member, device): (usize, &Device)| {
            let pieces = self.pieces_of(unit, member).into_iter();
            let parts =
                pieces.map(|own| self.in_compute_precision(&self.weights[own.place])).collect();
            collective::join(parts, self.plan.padded(unit), device, self.compute)
        };
        collective::gather(&self.plan, unit, self.devices.iter().enumerate().map(share).collect())
    }

    fn in_compute_precision(&self, weight: &Tensor<1>) -> Tensor<1> {
        let weight = weight.clone();
        if weight.dtype() == self.compute { weight } else { weight.cast(self.compute) }
    }

    fn cut_into_parameters(&self, unit: usize, vector: Tensor<1>) -> Vec<Tensor<1>> {
        let mut start = 0;
        let parameters = self.plan.parameters(unit).map(|parameter| {
            let end = start + self.plan.elements(parameter);
            vector.clone().slice(std::mem::replace(&mut start, end)..end)
        });
        parameters.collect()
    }

    /// The sums of a whole unit as one vector in which every member's share has the same length.
    fn padded_by_member(&self, unit: usize, sums: &[Tensor<1>]) -> Tensor<1> {
        let first = self.plan.parameters(unit).start;
        let share = |member| {
            let pieces = self.pieces_of(unit, member).into_iter();
            let parts =
                pieces.map(|own| sums[own.parameter - first].clone().slice(own.range)).collect();
            collective::join(parts, self.plan.padded(unit), &sums[0].device(), DType::F32)
        };
        Tensor::cat((0..self.plan.members()).map(share).collect(), 0)
    }

    /// The parameter that a piece belongs to.
    pub(super) fn parameter_at(&self, place: usize) -> usize {
        self.plan.all_pieces().nth(place).map_or(place, |(parameter, _)| parameter)
    }

    /// Weights have changed, so what was gathered before is of no use.
    pub(super) fn forget_what_was_gathered(&mut self) {
        self.ahead.fill(None);
    }
}

/// One of a member's pieces.
struct Own {
    parameter: usize,
    place: usize,
    range: Range<usize>,
}

fn add(sum: &mut Tensor<1>, part: Tensor<1>) {
    // Taken out first: a tensor without another holder is added to in its own memory.
    let own = std::mem::replace(sum, part.clone());
    *sum = own + part;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fsdp::plan::ParameterSize;
    use crate::inner::cpu_tensor;

    fn shards(members: usize) -> ShardedParameters {
        let sizes = vec![vec![
            ParameterSize { elements: 60, alignment: 10 },
            ParameterSize { elements: 7, alignment: 7 },
        ]];
        let plan = Arc::new(Plan::new(members, sizes).unwrap());
        let fill = |_, range: Range<usize>| Ok::<_, FsdpError>(vec![0.5; range.len()]);
        ShardedParameters::new(
            plan,
            vec![Device::flex(); members],
            FloatDType::F32,
            AdamWConfig::default(),
            fill,
        )
        .unwrap()
    }

    fn addresses(tensors: &[Tensor<1>]) -> Vec<*const f32> {
        tensors
            .iter()
            .map(|tensor| cpu_tensor::slice(&cpu_tensor::storage(tensor).unwrap()).as_ptr())
            .collect()
    }

    #[test]
    fn a_single_member_copies_nothing() {
        let mut shards = shards(1);
        let (weights, gradients) = (addresses(&shards.weights), addresses(&shards.gradients));
        shards.prefetch(0);
        assert_eq!(addresses(&shards.gather(0)[0]), weights);
        let sums = shards.gradients(0);
        assert_eq!(addresses(&sums[0]), gradients);
        shards.reduce(0, sums);
        shards.step(0.1, 1.0).unwrap();
        shards.clear_gradients();
        assert_eq!(
            (addresses(&shards.weights), addresses(&shards.gradients)),
            (weights, gradients)
        );
    }

    #[test]
    fn pieces_keep_their_memory() {
        let mut shards = shards(3);
        let (weights, gradients) = (addresses(&shards.weights), addresses(&shards.gradients));
        for _ in 0..2 {
            drop(shards.gather(0));
            let sums = shards.gradients(0);
            shards.reduce(0, sums);
            shards.step(0.1, 1.0).unwrap();
            shards.clear_gradients();
        }
        assert_eq!(
            (addresses(&shards.weights), addresses(&shards.gradients)),
            (weights, gradients)
        );
    }
}
