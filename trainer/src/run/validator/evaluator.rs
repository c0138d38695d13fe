//! The deltas that are being looked at, beside the weights that they were made from.

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
use crate::training::learner::Learner;

/// Deltas under examination, the weights that their round starts from, and a network to try them on.
///
/// - Reading, sketches and weights give the same bits on every machine. Losses do not: kernels of another device,
///   and windows read in other groups (`train.micro_batch_size`), add up in another order.
/// - The network only reads. It holds the weights and room for their gradients, but no moments, which come with the
///   first step.
/// - Weights after a round are kept until the round is applied, so that whoever examined it need not compute them twice.
#[derive(Debug)]
pub struct DeltaEvaluator {
    replica: Replica,
    reader: Learner,
    assignment: Assignment,
    deltas: BTreeMap<(Age, PeerId), Delta>,
    after: Option<After>,
}

/// The weights after a round that may come to be.
#[derive(Debug)]
struct After {
    included: BTreeSet<PeerId>,
    outer: OuterSettings,
    digest: Digest,
    replica: Replica,
}

impl DeltaEvaluator {
    /// An examination of deltas that start from the weights of `replica`, with no delta yet; `reader` is of the same
    /// network, whatever weights it has.
    pub fn new(replica: Replica, reader: Learner, assignment: Assignment) -> Self {
        Self { replica, reader, assignment, deltas: BTreeMap::new(), after: None }
    }

    /// The weights at the start of the round.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The same, to put others in their place.
    pub fn replica_mut(&mut self) -> &mut Replica {
        self.after = None;
        &mut self.replica
    }

    /// Applies a round, and forgets its deltas: takes the weights that were computed for it, or applies `payloads`, the
    /// deltas that it includes. Gives the digest of the weights.
    ///
    /// # Errors
    /// Deltas that cannot be decoded or are of another form.
    pub fn apply(
        &mut self,
        manifest: &Manifest,
        payloads: &BTreeMap<PeerId, Bytes>,
    ) -> anyhow::Result<Digest> {
        self.deltas.clear();
        match self.after.take() {
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

    /// Ends the examination: the network that read, and who was to train on what.
    pub fn into_instruments(self) -> (Learner, Assignment) {
        (self.reader, self.assignment)
    }

    /// The current deltas of these peers, as far as they were admitted.
    fn current<'a>(&'a self, peers: &BTreeSet<PeerId>) -> BTreeMap<PeerId, &'a Delta> {
        let delta = |peer: &PeerId| Some((*peer, self.deltas.get(&(Age::Current, *peer))?));
        peers.iter().filter_map(delta).collect()
    }
}

impl After {
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
        // One sum in the order of the schema.
        Some(delta.tensors().map(|tensor| tensor.norm().powi(2)).sum::<f64>().sqrt())
    }

    fn measure(
        &mut self,
        trial: &EvaluationRequest<'_>,
    ) -> Result<BTreeMap<PeerId, Measurement>, EvaluatorError> {
        let probe_batches = ProbeBatches::draw(trial, &self.assignment)?;
        let delta = |peer: &PeerId| Some((*peer, self.deltas.get(&(Age::Current, *peer))?));
        let admitted = trial.admitted.iter().filter_map(delta).collect();
        Ok(LossProbe::new(trial, &self.replica, &mut self.reader, &admitted)
            .measure(&probe_batches)?)
    }

    fn weights_after(
        &mut self,
        included: &BTreeSet<PeerId>,
        outer: &OuterSettings,
    ) -> Result<Digest, EvaluatorError> {
        let deltas = self.current(included);
        if deltas.len() != included.len() {
            return Err(SparseLocoError::NoDeltas.into());
        }
        let replica = self.replica.after(outer, &deltas)?;
        let digest = replica.digest();
        self.after = Some(After { included: included.clone(), outer: *outer, digest, replica });
        Ok(digest)
    }

    fn clear(&mut self) {
        self.deltas.clear();
    }
}

/// The positions that a delta moves, in the chunks that `seed` draws from those of all tensors.
fn sketch(delta: &Delta, seed: &Seed) -> Sketch {
    let of = |index: usize| delta.tensor(index).spec.grid().num_chunks() as u64;
    let total = (0..delta.schema().tensors().len()).map(of).sum();
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
