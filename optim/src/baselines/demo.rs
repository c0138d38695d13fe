//! DeMo: peers share the fast components of their momentum and keep the others.

use rayon::prelude::*;

use super::method::{OuterMethod, check_peers, check_round, descend};
use crate::sparseloco::chunks::Dct;
use crate::sparseloco::top_k::Selector;
use crate::sparseloco::{CodedValue, Profile, Schema, SparseLocoError, TensorSpec};

/// Bits per value: fp32, and a position of 12 bits.
const VALUE_BITS: u64 = 32 + 12;

/// The settings of [`DeMo`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeMoConfig {
    /// Values sent per chunk of at most 4096.
    pub k: usize,
    /// Decay of the momentum per round.
    pub decay: f32,
    /// If true, weights follow only the signs of the mean step: each moves by the outer learning
    /// rate or not at all.
    pub sign: bool,
}

impl Default for DeMoConfig {
    fn default() -> Self {
        // The defaults of the published program.
        Self { k: 32, decay: 0.999, sign: false }
    }
}

/// DeMo (arXiv 2411.19870): decoupled momentum.
///
/// Per peer with pseudo-gradient `d`: `m = decay m + d`. The largest frequencies of `m` in each
/// chunk are sent uncompressed and removed from `m`. The step is the mean of each frequency over
/// the peers that sent it, in elements, optionally reduced to its signs. The paper exchanges after
/// every batch (`d` is then the gradient times the learning rate); here a round may have any number
/// of inner steps.
///
/// Chunks are those of the reference profile, and vectors are transformed as well. Momentum is
/// stored in frequencies: the transform is linear and orthonormal, so only rounding differs.
pub struct DeMo {
    name: String,
    schema: Schema,
    config: DeMoConfig,
    /// Per tensor and peer.
    momenta: Vec<Vec<Vec<f32>>>,
}

impl DeMo {
    /// Creates the method with momenta of zero. Only names and shapes of the schema are used.
    ///
    /// # Errors
    ///
    /// As [`Schema::new`].
    pub fn new(
        schema: &Schema,
        config: DeMoConfig,
        num_peers: usize,
    ) -> Result<Self, SparseLocoError> {
        let shapes = schema.tensors().iter().map(|spec| (spec.name(), spec.shape()));
        let schema = Schema::new(Profile::Reference, config.k, shapes)?;
        let momenta = schema
            .tensors()
            .iter()
            .map(|spec| vec![vec![0.0; spec.grid().len()]; num_peers])
            .collect();
        let name = if config.sign { "DeMo with signs".to_owned() } else { "DeMo".to_owned() };
        Ok(Self { name, schema, config, momenta })
    }
}

impl OuterMethod for DeMo {
    fn name(&self) -> &str {
        &self.name
    }

    fn round(
        &mut self,
        pseudo_gradients: &[Vec<Vec<f32>>],
        weights: &mut [Vec<f32>],
        outer_learning_rate: f64,
    ) -> Result<u64, SparseLocoError> {
        let num_peers = self.momenta.first().map_or(pseudo_gradients.len(), Vec::len);
        check_peers(num_peers, pseudo_gradients.len())?;
        check_round(&self.schema, pseudo_gradients, weights)?;
        let config = self.config;
        let tensors = self.momenta.par_iter_mut().zip(self.schema.tensors()).enumerate();
        let steps = tensors.map(|(index, (momenta, spec))| {
            let steps = pseudo_gradients.iter().map(|tensors| tensors[index].as_slice());
            mean_of_largest(spec, config, momenta, steps)
        });
        let steps = steps.collect();
        descend(&self.schema, weights, steps, outer_learning_rate)?;
        Ok((VALUE_BITS * self.schema.num_entries() as u64).div_ceil(8))
    }
}

/// The step of one tensor: moves the largest frequencies out of the momentum of every peer, in the
/// order of peers.
fn mean_of_largest<'a>(
    spec: &TensorSpec,
    config: DeMoConfig,
    momenta: &mut [Vec<f32>],
    pseudo_gradients: impl Iterator<Item = &'a [f32]>,
) -> Vec<f32> {
    let transform =
        Dct::new(spec.grid()).expect("chunks of the reference profile are even and short");
    let mut sums = vec![0.0; spec.grid().len()];
    let mut senders = vec![0_u32; spec.grid().len()];
    for (momentum, pseudo_gradient) in momenta.iter_mut().zip(pseudo_gradients) {
        let mut frequencies = pseudo_gradient.to_vec();
        transform.forward(&mut frequencies);
        let values = momentum.iter_mut().zip(frequencies);
        values.for_each(|(momentum, new)| *momentum = config.decay * *momentum + new);
        for index in largest(spec, momentum) {
            sums[index] += std::mem::take(&mut momentum[index]);
            senders[index] += 1;
        }
    }
    sums.iter_mut().zip(senders).for_each(|(sum, senders)| *sum /= senders.max(1) as f32);
    transform.inverse(&mut sums);
    if config.sign {
        sums.iter_mut().for_each(|step| *step = sign(*step));
    }
    sums
}

/// The indices of the largest values of each chunk of a tensor.
fn largest(spec: &TensorSpec, tensor: &[f32]) -> Vec<usize> {
    let grid = spec.grid();
    let mut tile = vec![0.0; grid.chunk_len()];
    let mut entries = vec![CodedValue::default(); spec.kept()];
    let mut selector = Selector::default();
    let mut indices = Vec::with_capacity(spec.entries().len());
    for chunk in 0..grid.num_chunks() {
        tile.iter_mut()
            .enumerate()
            .for_each(|(position, value)| *value = tensor[grid.index(chunk, position)]);
        selector.select(&tile, &mut entries);
        indices.extend(entries.iter().map(|entry| grid.index(chunk, entry.position())));
    }
    indices
}

/// The sign of a value, 0 for 0. [`f32::signum`] gives 1 for 0, which would move weights that no
/// peer sent.
fn sign(value: f32) -> f32 {
    if value == 0.0 { 0.0 } else { value.signum() }
}
