//! The shards of a model on their devices, and the collectives of a training step.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{DType, Device, FloatDType, Tensor};

use super::collective;
use super::error::FsdpError;
use super::plan::Plan;
use crate::error::OptimError;
use crate::inner::{AdamW, AdamWConfig, clear, global_norm};

/// The parameters of a model, sharded over members: fp32 weights, fp32 gradients and the moments of
/// AdamW, each piece on the device of its owner.
///
/// A training step all-gathers each unit ([`gather`](Self::gather)), adds gradients to whole units
/// ([`gradients`](Self::gradients)), reduce-scatters them ([`reduce`](Self::reduce)) and updates
/// all pieces ([`step`](Self::step)). Whole units are freed when the caller drops them.
///
/// - With one member nothing is copied: its weights and gradients are lent to the caller.
/// - No tensor is shared between two uses of a unit, so a step on the CPU updates in place.
/// - Weights and moments can be read and set piece by piece, so the host needs memory for one
///   piece.
#[derive(Debug)]
pub struct ShardedParameters {
    pub(super) plan: Arc<Plan>,
    pub(super) devices: Vec<Device>,
    compute: DType,
    /// In the order of [`Plan::all_pieces`], as are the gradients and the parameters of the
    /// optimizer.
    pub(super) weights: Vec<Tensor<1>>,
    pub(super) gradients: Vec<Tensor<1>>,
    pub(super) optimizer: AdamW,
    /// Prefetched units, whole, one vector per member.
    prefetched: Vec<Option<Vec<Tensor<1>>>>,
}

impl ShardedParameters {
    /// Creates all pieces with the weights that `fill` returns for a range of a parameter, in the
    /// order of parameters.
    ///
    /// Members compute in the precision `compute`. Moments are zero.
    ///
    /// # Errors
    ///
    /// Those of `fill`, [`FsdpError::Length`], and [`FsdpError::DeviceCount`] if the number of
    /// devices is not that of the members.
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
        let prefetched = vec![None; plan.num_units()];
        let (weights, gradients, optimizer) = (Vec::new(), Vec::new(), AdamW::new(optimizer));
        let mut shards = Self {
            plan,
            devices,
            compute: compute.into(),
            weights,
            gradients,
            optimizer,
            prefetched,
        };
        shards.fill(fill)?;
        Ok(shards)
    }

    /// The owner of each element.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The device of each member.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Starts the all-gather of `unit`. The result is kept until [`gather`](Self::gather) takes it.
    pub fn prefetch(&mut self, unit: usize) {
        if self.plan.members() > 1 && self.prefetched[unit].is_none() {
            self.prefetched[unit] = Some(self.all_gather(unit));
        }
    }

    /// All-gathers the weights of `unit` in the compute precision: for each member the parameters,
    /// flat, on its device.
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
        let whole = self.prefetched[unit].take().unwrap_or_else(|| self.all_gather(unit));
        whole.into_iter().map(|vector| self.cut_into_parameters(unit, vector)).collect()
    }

    /// fp32 sums to which gradients of `unit` are added: for each member the parameters, whole and
    /// flat, on its device.
    ///
    /// With one member these are its gradients so far, moved out until [`reduce`](Self::reduce)
    /// returns them.
    pub fn gradients(&mut self, unit: usize) -> Vec<Vec<Tensor<1>>> {
        let parameters = self.plan.parameters(unit);
        if self.plan.members() == 1 {
            // Moved, not cloned: the caller adds in place only to a tensor that is not shared.
            let own = self.gradients[parameters].iter_mut();
            let taken = own.map(|own| std::mem::replace(own, Tensor::empty([1], &self.devices[0])));
            return vec![taken.collect()];
        }
        self.devices.iter().map(|device| self.zeros(parameters.clone(), device)).collect()
    }

    /// Zeros of the length of each parameter.
    fn zeros(&self, parameters: Range<usize>, device: &Device) -> Vec<Tensor<1>> {
        parameters
            .map(|parameter| Tensor::zeros([self.plan.elements(parameter)], (device, DType::F32)))
            .collect()
    }

    /// Reduce-scatters the sums that [`gradients`](Self::gradients) returned: adds those of all
    /// members, and each member adds its share to its gradients.
    ///
    /// # Panics
    ///
    /// If the tensors are not those of the unit.
    pub fn reduce(&mut self, unit: usize, sums: Vec<Vec<Tensor<1>>>) {
        if self.plan.members() == 1 {
            let own = &mut self.gradients[self.plan.parameters(unit)];
            return own
                .iter_mut()
                .zip(sums.into_iter().flatten())
                .for_each(|(own, sum)| *own = sum);
        }
        // One member at a time, so its sums are freed before the next vector is allocated.
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

    /// Sets all gradients to zero, in place if they are not shared.
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

    /// Updates the pieces of every member with AdamW and the gradients times `gradient_scale`.
    ///
    /// # Errors
    ///
    /// As [`AdamW::step`]; places are those of parameters.
    pub fn step(&mut self, learning_rate: f64, gradient_scale: f32) -> Result<(), OptimError> {
        self.drop_prefetched();
        let pairs = self.weights.iter_mut().zip(&self.gradients);
        let outcome = self.optimizer.step(pairs, learning_rate, gradient_scale);
        outcome.map_err(|error| error.at(|place| self.parameter_at(place)))
    }

    /// The number of updates.
    pub fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// Moves the moments to host memory to free memory of the devices. Has no effect on the CPU.
    pub fn offload_moments(&mut self) {
        self.optimizer.offload();
    }

    /// Starts to move the moments back. The transfer may overlap with other work.
    /// [`step`](Self::step) calls it if necessary.
    pub fn reload_moments(&mut self) {
        self.optimizer.reload();
    }

    /// The pieces of a member in a unit, in order.
    fn pieces_of(&self, unit: usize, member: usize) -> Vec<OwnedPiece> {
        let parameters = self.plan.parameters(unit);
        let pieces = parameters.flat_map(|parameter| {
            let places = self.plan.piece_places(parameter);
            places
                .zip(self.plan.pieces(parameter))
                .map(move |(place, piece)| (parameter, place, piece))
        });
        let own = pieces.filter(|(.., piece)| piece.member == member);
        own.map(|(parameter, place, piece)| OwnedPiece {
            parameter,
            place,
            range: piece.range.clone(),
        })
        .collect()
    }

    /// All-gathers a unit: the whole unit as one vector for every member.
    fn all_gather(&self, unit: usize) -> Vec<Tensor<1>> {
        let shares = self.devices.iter().enumerate().map(|(member, device)| {
            // Cast before the transfer: bf16 halves the bytes between devices.
            let pieces = self.pieces_of(unit, member).into_iter();
            let parts =
                pieces.map(|own| self.in_compute_precision(&self.weights[own.place])).collect();
            collective::join(parts, self.plan.padded(unit), device, self.compute)
        });
        collective::gather(&self.plan, unit, shares.collect())
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

    /// The sums of a whole unit as one vector in which every share is padded to the same length.
    fn padded_by_member(&self, unit: usize, sums: &[Tensor<1>]) -> Tensor<1> {
        let first = self.plan.parameters(unit).start;
        let shares = (0..self.plan.members()).map(|member| {
            let pieces = self.pieces_of(unit, member).into_iter();
            let parts =
                pieces.map(|own| sums[own.parameter - first].clone().slice(own.range)).collect();
            collective::join(parts, self.plan.padded(unit), &sums[0].device(), DType::F32)
        });
        Tensor::cat(shares.collect(), 0)
    }

    /// The parameter of a piece, by the place of the piece among all.
    pub(super) fn parameter_at(&self, place: usize) -> usize {
        self.plan.all_pieces().nth(place).map_or(place, |(parameter, _)| parameter)
    }

    /// Drops prefetched units: the weights have changed.
    pub(super) fn drop_prefetched(&mut self) {
        self.prefetched.fill(None);
    }
}

/// A piece of a member: its parameter, its place among all pieces, and its elements of the
/// parameter.
struct OwnedPiece {
    parameter: usize,
    place: usize,
    range: Range<usize>,
}

/// Adds `part` to `sum`.
fn add(sum: &mut Tensor<1>, part: Tensor<1>) {
    // Moved out first: Burn adds in place only to a tensor that is not shared.
    let own = std::mem::replace(sum, part.clone());
    *sum = own + part;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fsdp::slab::ParameterSize;
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
    fn pieces_are_updated_in_place() {
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
