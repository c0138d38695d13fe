//! The copy of the shared weights that a peer or validator keeps. Only manifests change it.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use covey_comms::objects::{Exclusion, Manifest, OuterSettings};
use covey_comms::primitives::{Digest, PeerId, Round};
use covey_optim::codec::{Codec, DecodeError};
use covey_optim::sparseloco::{
    Clip, Delta, MeanOver, Schema, SparseLocoConfig, SparseLocoError, aggregate, outer_step,
};

use crate::system::error::Hint;
use crate::training::checkpoint::{NamedTensor, weights_digest};

/// The weights at the start of a round, with the schema and codec of the deltas that update them.
///
/// Decoding, clipping, averaging and the outer step run in a fixed order on plain numbers. All
/// replicas that applied the same manifests therefore have the same bits on every machine.
#[derive(Debug)]
pub struct Replica {
    /// Sorted by name, like the schema.
    tensors: Vec<NamedTensor>,
    /// For each tensor in canonical order, its index in `tensors`.
    canonical: Vec<usize>,
    schema: Arc<Schema>,
    codec: Codec,
}

/// A round that cannot be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// The manifest includes a delta that cannot be decoded; validators exclude such deltas.
    #[error("the manifest includes a delta of {} that cannot be decoded", peer.short())]
    Delta {
        /// The peer that published it.
        peer: PeerId,
        /// The reason.
        source: DecodeError,
    },
    /// The included deltas lead to other weights here than in the manifest.
    #[error("the weights after {round} are {got}, the validators agreed on {expected}")]
    OtherWeights {
        /// The round.
        round: Round,
        /// The digest in the manifest.
        expected: Digest,
        /// The digest here.
        got: Digest,
    },
    /// Tensors with incompatible shapes.
    #[error(transparent)]
    Form(#[from] SparseLocoError),
}

impl Hint for ReplicaError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::OtherWeights { .. } => Some(
                "check this machine's memory and disk, and join again with another `--output`; \
                 if the error repeats, run `covey verify` to find the cause"
                    .into(),
            ),
            Self::Delta { .. } => {
                Some("run `covey verify` to find the first round that differs".into())
            }
            Self::Form(error) => error.hint(),
        }
    }
}

impl Replica {
    /// Creates a replica from `weights` in canonical order.
    ///
    /// # Errors
    /// Weights that cannot be divided into chunks.
    pub fn new(
        weights: Vec<NamedTensor>,
        settings: &SparseLocoConfig,
    ) -> Result<Self, SparseLocoError> {
        let shapes = weights.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()));
        let schema = Arc::new(settings.schema(shapes)?);
        let canonical = weights
            .iter()
            .map(|tensor: &NamedTensor| {
                schema.position(&tensor.name).expect("the schema was made of these")
            })
            .collect();
        let mut tensors = weights;
        // The schema sorts by name, and the outer step goes through both in parallel.
        tensors.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self { tensors, canonical, codec: Codec::new(Arc::clone(&schema)), schema })
    }

    /// The names and shapes of all tensors of a delta.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The codec of the run's deltas.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// The weights in canonical order.
    pub fn weights(&self) -> impl ExactSizeIterator<Item = &NamedTensor> {
        self.canonical.iter().map(|place| &self.tensors[*place])
    }

    /// The digest of the weights: equal digests mean equal bits.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(weights_digest(self.weights()).into())
    }

    /// Replaces the weights by those of a checkpoint: the same tensors, in canonical order.
    pub fn replace(&mut self, weights: Vec<NamedTensor>) {
        for (place, tensor) in self.canonical.iter().zip(weights) {
            self.tensors[*place] = tensor;
        }
    }

    /// Returns the pseudo-gradient of weights that were trained from these: start minus end, in the
    /// order of the schema. `trained` is in canonical order.
    pub fn minus(&self, trained: &[NamedTensor]) -> Vec<Vec<f32>> {
        self.difference(self.weights(), trained)
    }

    /// Returns the pseudo-gradient of weights that were trained from `start`; both are in canonical
    /// order.
    pub fn difference<'a>(
        &self,
        start: impl Iterator<Item = &'a NamedTensor>,
        trained: &[NamedTensor],
    ) -> Vec<Vec<f32>> {
        let mut difference = vec![Vec::new(); self.tensors.len()];
        for ((place, start), trained) in self.canonical.iter().zip(start).zip(trained) {
            let pairs = start.values.iter().zip(&trained.values);
            difference[*place] = pairs.map(|(start, end)| start - end).collect();
        }
        difference
    }

    /// Returns the weights after an outer step with `delta` alone, in canonical order.
    pub fn moved_by(&self, delta: &Delta, rate: f64) -> Vec<NamedTensor> {
        self.canonical
            .iter()
            .map(|place: &usize| {
                let mut tensor = self.tensors[*place].clone();
                // Only this peer uses the result, so it need not equal the outer step to the last
                // bit.
                let step = delta.tensor(*place).dense();
                tensor
                    .values
                    .iter_mut()
                    .zip(step)
                    .for_each(|(weight, step)| *weight -= rate as f32 * step);
                tensor
            })
            .collect()
    }

    /// Converts values from the order of the schema to canonical order.
    pub fn to_canonical<T: Clone>(&self, by_schema: &[T]) -> Vec<T> {
        self.canonical.iter().map(|place| by_schema[*place].clone()).collect()
    }

    /// Converts values from canonical order to the order of the schema.
    pub fn to_schema<T: Clone + Default>(&self, canonical: Vec<T>) -> Vec<T> {
        let mut by_schema = vec![T::default(); self.tensors.len()];
        self.canonical.iter().zip(canonical).for_each(|(place, value)| by_schema[*place] = value);
        by_schema
    }

    /// Decodes the deltas that a manifest includes.
    ///
    /// # Errors
    /// The first delta that cannot be decoded.
    pub fn decode(
        &self,
        payloads: &BTreeMap<PeerId, Bytes>,
    ) -> Result<BTreeMap<PeerId, Delta>, ReplicaError> {
        payloads
            .iter()
            .map(|(peer, payload): (&PeerId, &Bytes)| match self.codec.decode(payload) {
                Ok(delta) => Ok((*peer, delta)),
                Err(source) => Err(ReplicaError::Delta { peer: *peer, source }),
            })
            .collect()
    }

    /// The outer step of a round: clip, average, descend. A void round changes nothing.
    ///
    /// Returns the names of tensors that were skipped because the step would have made them
    /// infinite or NaN.
    ///
    /// # Errors
    /// Deltas with another schema.
    pub fn apply(
        &mut self,
        manifest: &Manifest,
        deltas: &BTreeMap<PeerId, Delta>,
    ) -> Result<Vec<String>, SparseLocoError> {
        self.step(manifest.outer(), deltas)
    }

    /// The outer step with these deltas and settings. Without deltas, the weights stay the same.
    ///
    /// # Errors
    /// Deltas with another schema.
    pub fn step<D: Borrow<Delta>>(
        &mut self,
        outer: &OuterSettings,
        deltas: &BTreeMap<PeerId, D>,
    ) -> Result<Vec<String>, SparseLocoError> {
        // There is no mean of zero deltas.
        if deltas.is_empty() {
            return Ok(Vec::new());
        }
        // The map is sorted by peer, so all machines add in the same order.
        let step = aggregate(deltas, mean_over(outer.mean_over), clip(outer.clip))?;
        let mut weights: Vec<&mut [f32]> =
            self.tensors.iter_mut().map(|tensor| tensor.values.as_mut_slice()).collect();
        let skipped = outer_step(&self.schema, &mut weights, &step, outer.alpha)?;
        Ok(skipped.into_iter().map(str::to_owned).collect())
    }

    /// Returns a replica with the weights after such a step; `self` does not change. Needs memory
    /// for a second copy of the weights.
    ///
    /// # Errors
    /// Deltas with another schema.
    pub fn after<D: Borrow<Delta>>(
        &self,
        outer: &OuterSettings,
        deltas: &BTreeMap<PeerId, D>,
    ) -> Result<Self, SparseLocoError> {
        // Only the weights are copied; the schema is shared.
        let mut after = Self {
            tensors: self.tensors.clone(),
            canonical: self.canonical.clone(),
            schema: Arc::clone(&self.schema),
            codec: Codec::new(Arc::clone(&self.schema)),
        };
        after.step(outer, deltas)?;
        Ok(after)
    }

    /// Returns one tensor by its index in canonical order, with its index in the order of the
    /// schema.
    pub(crate) fn tensor(&self, canonical: usize) -> Option<(usize, &NamedTensor)> {
        let place = *self.canonical.get(canonical)?;
        self.tensors.get(place).map(|tensor| (place, tensor))
    }
}

/// Compares weights with the digest in the manifest.
///
/// # Errors
/// [`ReplicaError::OtherWeights`].
pub fn check_weights(manifest: &Manifest, got: Digest) -> Result<(), ReplicaError> {
    let (round, expected) = (manifest.round(), manifest.basis().weights);
    if got == expected { Ok(()) } else { Err(ReplicaError::OtherWeights { round, expected, got }) }
}

/// Returns the reason for the exclusion of a payload that cannot be decoded.
pub fn exclusion(error: &DecodeError) -> Exclusion {
    match error {
        // The reason is part of the manifest, so every validator must choose the same one.
        DecodeError::TooLong { .. } => Exclusion::TooLarge,
        DecodeError::Levels { .. } => Exclusion::NotFinite,
        _ => Exclusion::Malformed,
    }
}

fn mean_over(mean_over: covey_comms::objects::Divisor) -> MeanOver {
    match mean_over {
        covey_comms::objects::Divisor::Senders => MeanOver::Senders,
        covey_comms::objects::Divisor::Peers => MeanOver::Peers,
    }
}

fn clip(clip: covey_comms::objects::Clipping) -> Clip {
    match clip {
        covey_comms::objects::Clipping::Off => Clip::Off,
        covey_comms::objects::Clipping::MedianNorm => Clip::MedianNorm,
    }
}
