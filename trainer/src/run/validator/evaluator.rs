//! The evaluator of a validator: decoded deltas, and the weights at the start of their round.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use covey_comms::agreement::draw::Seed;
use covey_comms::gauntlet::checks::Sketch;
use covey_comms::gauntlet::scoring::{
    Age, EvaluationRequest, Evaluator, EvaluatorError, Measurement,
};
use covey_comms::objects::{Exclusion, Manifest, OuterSettings};
use covey_comms::primitives::{Digest, PeerId};
use covey_data::sampling::Assignment;
use covey_optim::sparseloco::{Delta, SparseLocoError};

use super::loss_probe::LossProbe;
use super::probe_batches::ProbeBatches;
use crate::run::replica::{Replica, exclusion};
use crate::system::error::Result;
use crate::training::learner::Learner;

/// Decodes deltas, measures their effect on the loss, and computes the weights after a round.
///
/// - Decoding, sketches, norms and weights have the same bits on every machine. Losses do not:
///   other kernels and other groups of windows (`train.micro_batch_size`) add in another order.
/// - The network runs forward passes only. It allocates weights and gradients; optimizer moments
///   are allocated in the first training step, which never comes.
/// - Weights after a round are kept until the round is applied, so they are computed only once.
#[derive(Debug)]
pub struct DeltaEvaluator {
    replica: Replica,
    reader: Learner,
    assignment: Assignment,
    deltas: BTreeMap<(Age, PeerId), Delta>,
    after: Option<WeightsAfter>,
}

/// The weights after a round with these included peers, if it is decided this way.
#[derive(Debug)]
struct WeightsAfter {
    included: BTreeSet<PeerId>,
    outer: OuterSettings,
    digest: Digest,
    replica: Replica,
}

impl DeltaEvaluator {
    /// Creates an evaluator for deltas from the weights of `replica`, without any delta. `reader`
    /// has the same network; its weights are replaced.
    pub fn new(replica: Replica, reader: Learner, assignment: Assignment) -> Self {
        Self { replica, reader, assignment, deltas: BTreeMap::new(), after: None }
    }

    /// The weights at the start of the round.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Mutable access to the weights at the start of the round. Discards the computed weights after
    /// it.
    pub fn replica_mut(&mut self) -> &mut Replica {
        self.after = None;
        &mut self.replica
    }

    /// Applies a round and removes its deltas. Uses the weights that were computed for it, or
    /// applies `payloads`, the included deltas. Returns the digest of the weights.
    ///
    /// # Errors
    /// Deltas that cannot be decoded or have another schema.
    pub fn apply(
        &mut self,
        manifest: &Manifest,
        payloads: &BTreeMap<PeerId, Bytes>,
    ) -> Result<Digest> {
        self.deltas.clear();
        match self.after.take() {
            // The computed weights belong to one outcome; the manifest may have another one.
            Some(after) if after.is_of(manifest) => {
                self.replica = after.replica;
                Ok(after.digest)
            }
            _ => {
                let deltas = self.replica.decode(payloads)?;
                self.replica.apply(manifest, &deltas)?;
                Ok(self.replica.digest())
            }
        }
    }

    /// Returns the network and the assignment, for another evaluator.
    pub fn into_instruments(self) -> (Learner, Assignment) {
        (self.reader, self.assignment)
    }

    /// The admitted deltas of these peers in the current round.
    fn current<'a>(&'a self, peers: &BTreeSet<PeerId>) -> BTreeMap<PeerId, &'a Delta> {
        peers
            .iter()
            .filter_map(|peer: &PeerId| Some((*peer, self.deltas.get(&(Age::Current, *peer))?)))
            .collect()
    }
}

impl WeightsAfter {
    fn is_of(&self, manifest: &Manifest) -> bool {
        self.included.iter().eq(manifest.included().keys()) && self.outer == *manifest.outer()
    }
}

impl Evaluator for DeltaEvaluator {
    fn admit(&mut self, age: Age, peer: PeerId, payload: &Bytes) -> Result<(), Exclusion> {
        let delta = self.replica.codec().decode(payload).map_err(|error| exclusion(&error))?;
        self.deltas.insert((age, peer), delta);
        Ok(())
    }

    fn sketch(&self, age: Age, peer: PeerId, seed: &Seed) -> Option<Sketch> {
        self.deltas.get(&(age, peer)).map(|delta| sketch(delta, seed))
    }

    fn norm(&self, age: Age, peer: PeerId) -> Option<f64> {
        let delta = self.deltas.get(&(age, peer))?;
        // Validators compare norms bit by bit, so the sum runs in the order of the schema, and the
        // square is a product: `powi` may round differently on other machines.
        Some(
            delta.tensors().map(|tensor| tensor.norm()).map(|norm| norm * norm).sum::<f64>().sqrt(),
        )
    }

    fn measure(
        &mut self,
        request: &EvaluationRequest<'_>,
    ) -> Result<BTreeMap<PeerId, Measurement>, EvaluatorError> {
        let probe_batches = ProbeBatches::draw(request, &self.assignment)?;
        let admitted = request
            .admitted
            .iter()
            .filter_map(|peer: &PeerId| Some((*peer, self.deltas.get(&(Age::Current, *peer))?)))
            .collect();
        Ok(LossProbe::new(request, &self.replica, &mut self.reader, &admitted)
            .measure(&probe_batches)?)
    }

    fn weights_after(
        &mut self,
        included: &BTreeSet<PeerId>,
        outer: &OuterSettings,
    ) -> Result<Digest, EvaluatorError> {
        let deltas = self.current(included);
        // A delta that was not admitted here makes the proposed weights impossible to check.
        if deltas.len() != included.len() {
            return Err(SparseLocoError::NoDeltas.into());
        }
        let replica = self.replica.after(outer, &deltas)?;
        let digest = replica.digest();
        self.after =
            Some(WeightsAfter { included: included.clone(), outer: *outer, digest, replica });
        Ok(digest)
    }

    fn clear(&mut self) {
        self.deltas.clear();
    }
}

/// Returns the positions of a delta in the chunks that `seed` draws among those of all tensors.
fn sketch(delta: &Delta, seed: &Seed) -> Sketch {
    let total = (0..delta.schema().tensors().len())
        .map(|index: usize| delta.tensor(index).spec.grid().num_chunks() as u64)
        .sum();
    // The draw is sorted, so one pass over the tensors finds all its chunks.
    let mut drawn = seed.draw("chunks", Sketch::CHUNKS, total).into_iter().peekable();
    let (mut chunks, mut first) = (Vec::new(), 0);
    for tensor in delta.tensors() {
        let end = first + tensor.spec.grid().num_chunks() as u64;
        while let Some(chunk) = drawn.next_if(|chunk| *chunk < end) {
            let entries = tensor.chunks().nth((chunk - first) as usize).unwrap_or_default();
            chunks.push(entries.iter().map(|entry| entry.position() as u32).collect());
        }
        first = end;
    }
    Sketch::new(chunks)
}
