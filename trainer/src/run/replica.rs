//! The shared weights of a run, on this machine: what manifests say moves them, and nothing else does.

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

use crate::training::checkpoint::{NamedTensor, weights_digest};

/// The weights at the start of a round, with all that turns deltas into the next ones.
///
/// Decoding, clipping, averaging and the outer step run in a fixed order on plain numbers, so that all replicas that
/// applied the same manifests hold the same bits, whatever machine they are on.
#[derive(Debug)]
pub struct Replica {
    /// Sorted by name, as the schema is.
    tensors: Vec<NamedTensor>,
    /// Where each tensor of the canonical order lies among the sorted ones.
    canonical: Vec<usize>,
    schema: Arc<Schema>,
    codec: Codec,
}

/// A round that could not be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// The manifest includes a delta that cannot be decoded; the validators should have refused it.
    #[error("the manifest includes a delta of {} that cannot be decoded", peer.short())]
    Delta {
        /// Its peer.
        peer: PeerId,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The same deltas led elsewhere here than where the validators say they lead.
    #[error("the weights after {round} are {got}, the validators agreed on {expected}")]
    OtherWeights {
        /// The round.
        round: Round,
        /// What the manifest says.
        expected: Digest,
        /// What they are here.
        got: Digest,
    },
    /// Tensors that do not fit together.
    #[error(transparent)]
    Form(#[from] SparseLocoError),
}

impl ReplicaError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::OtherWeights { .. } => Some(
                "check this machine's memory and disk, and join again from another folder with `--output`; if it comes back, \
                 `covey verify` tells whether the validators or this machine computed wrongly"
                    .into(),
            ),
            Self::Delta { .. } => Some("`covey verify` tells what the validators did".into()),
            Self::Form(_) => None,
        }
    }
}

impl Replica {
    /// A replica that starts from `weights`, in canonical order.
    ///
    /// # Errors
    /// Weights that cannot be cut into chunks.
    pub fn new(
        weights: Vec<NamedTensor>,
        settings: &SparseLocoConfig,
    ) -> Result<Self, SparseLocoError> {
        let shapes = weights.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice()));
        let schema = Arc::new(settings.schema(shapes)?);
        let place = |tensor: &NamedTensor| {
            schema.position(&tensor.name).expect("the schema was made of these")
        };
        let canonical = weights.iter().map(place).collect();
        let mut tensors = weights;
        tensors.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self { tensors, canonical, codec: Codec::new(Arc::clone(&schema)), schema })
    }

    /// The form of every delta.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Writes and reads deltas.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// The weights in canonical order.
    pub fn weights(&self) -> impl ExactSizeIterator<Item = &NamedTensor> {
        self.canonical.iter().map(|place| &self.tensors[*place])
    }

    /// Names the exact weights: equal digests mean equal bits.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(weights_digest(self.weights()).into())
    }

    /// Puts the weights of a checkpoint in the place of these; the same tensors in canonical order.
    pub fn replace(&mut self, weights: Vec<NamedTensor>) {
        for (place, tensor) in self.canonical.iter().zip(weights) {
            self.tensors[*place] = tensor;
        }
    }

    /// The pseudo-gradient of weights that were trained from these: start minus end, in the order of the schema.
    ///
    /// `trained` holds the tensors in canonical order.
    pub fn minus(&self, trained: &[NamedTensor]) -> Vec<Vec<f32>> {
        self.difference(self.weights(), trained)
    }

    /// The same for weights that were trained from `start`, in canonical order.
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

    /// The weights as they would be if `delta` were all that a round brought, in canonical order.
    pub fn moved_by(&self, delta: &Delta, rate: f64) -> Vec<NamedTensor> {
        let moved = |place: &usize| {
            let mut tensor = self.tensors[*place].clone();
            let step = delta.tensor(*place).dense();
            tensor
                .values
                .iter_mut()
                .zip(step)
                .for_each(|(weight, step)| *weight -= rate as f32 * step);
            tensor
        };
        self.canonical.iter().map(moved).collect()
    }

    /// Values by the order of the schema, brought into canonical order.
    pub fn to_canonical<T: Clone>(&self, by_schema: &[T]) -> Vec<T> {
        self.canonical.iter().map(|place| by_schema[*place].clone()).collect()
    }

    /// Values in canonical order, brought into the order of the schema.
    pub fn to_schema<T: Clone + Default>(&self, canonical: Vec<T>) -> Vec<T> {
        let mut by_schema = vec![T::default(); self.tensors.len()];
        self.canonical.iter().zip(canonical).for_each(|(place, value)| by_schema[*place] = value);
        by_schema
    }

    /// Decodes the deltas that a manifest includes.
    ///
    /// # Errors
    /// The first that cannot be decoded.
    pub fn decode(
        &self,
        payloads: &BTreeMap<PeerId, Bytes>,
    ) -> Result<BTreeMap<PeerId, Delta>, ReplicaError> {
        let decode = |(peer, payload): (&PeerId, &Bytes)| match self.codec.decode(payload) {
            Ok(delta) => Ok((*peer, delta)),
            Err(source) => Err(ReplicaError::Delta { peer: *peer, source }),
        };
        payloads.iter().map(decode).collect()
    }

    /// The outer step of a round: clip, average, descend. A void round leaves everything as it is.
    ///
    /// Gives the names of tensors that were skipped because they would no longer be finite.
    ///
    /// # Errors
    /// Deltas of another form.
    pub fn apply(
        &mut self,
        manifest: &Manifest,
        deltas: &BTreeMap<PeerId, Delta>,
    ) -> Result<Vec<String>, SparseLocoError> {
        self.step(manifest.outer(), deltas)
    }

    /// The outer step with these deltas and settings; without deltas nothing moves.
    ///
    /// # Errors
    /// Deltas of another form.
    pub fn step<D: Borrow<Delta>>(
        &mut self,
        outer: &OuterSettings,
        deltas: &BTreeMap<PeerId, D>,
    ) -> Result<Vec<String>, SparseLocoError> {
        if deltas.is_empty() {
            return Ok(Vec::new());
        }
        let step = aggregate(deltas, mean_over(outer.mean_over), clip(outer.clip))?;
        let mut weights: Vec<&mut [f32]> =
            self.tensors.iter_mut().map(|tensor| tensor.values.as_mut_slice()).collect();
        let skipped = outer_step(&self.schema, &mut weights, &step, outer.alpha)?;
        Ok(skipped.into_iter().map(str::to_owned).collect())
    }

    /// These weights as they are after such a step, beside the ones from before it.
    ///
    /// # Errors
    /// Deltas of another form.
    pub fn after<D: Borrow<Delta>>(
        &self,
        outer: &OuterSettings,
        deltas: &BTreeMap<PeerId, D>,
    ) -> Result<Self, SparseLocoError> {
        let mut after = Self {
            tensors: self.tensors.clone(),
            canonical: self.canonical.clone(),
            schema: Arc::clone(&self.schema),
            codec: Codec::new(Arc::clone(&self.schema)),
        };
        after.step(outer, deltas)?;
        Ok(after)
    }

    /// One tensor in canonical order with its place in the order of the schema.
    pub(crate) fn tensor(&self, canonical: usize) -> Option<(usize, &NamedTensor)> {
        let place = *self.canonical.get(canonical)?;
        self.tensors.get(place).map(|tensor| (place, tensor))
    }
}

/// Holds weights to those that the validators agreed on.
///
/// # Errors
/// [`ReplicaError::OtherWeights`].
pub fn check_weights(manifest: &Manifest, got: Digest) -> Result<(), ReplicaError> {
    let (round, expected) = (manifest.round(), manifest.basis().weights);
    match got == expected {
        true => Ok(()),
        false => Err(ReplicaError::OtherWeights { round, expected, got }),
    }
}

/// Why a payload is left out that cannot be decoded.
pub fn exclusion(error: &DecodeError) -> Exclusion {
    match error {
        DecodeError::TooLong { .. } => Exclusion::TooLarge,
        DecodeError::Levels { .. } => Exclusion::NotFinite,
        _ => Exclusion::Malformed,
    }
}

fn mean_over(mean_over: covey_comms::objects::MeanOver) -> MeanOver {
    match mean_over {
        covey_comms::objects::MeanOver::Senders => MeanOver::Senders,
        covey_comms::objects::MeanOver::Peers => MeanOver::Peers,
    }
}

fn clip(clip: covey_comms::objects::Clip) -> Clip {
    match clip {
        covey_comms::objects::Clip::Off => Clip::Off,
        covey_comms::objects::Clip::MedianNorm => Clip::MedianNorm,
    }
}
