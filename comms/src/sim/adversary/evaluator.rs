//! How validators of a contest try deltas on the weights.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::delta::{ToyDelta, apply, clipping, median_norm, weights_to_bytes};
use super::regression::{ASSIGNED, NUM_CHUNKS, Regression, SampleSource, ToyWeights};
use crate::agreement::draw::Seed;
use crate::gauntlet::checks::Sketch;
use crate::gauntlet::scoring::{
    Age, EvaluationRequest, Evaluator, EvaluatorError, Measurement, ProbeLosses,
};
use crate::objects::{Exclusion, OuterSettings};
use crate::primitives::{Digest, PeerId};

/// Windows that nobody is assigned, of which each round draws some.
const NUM_UNASSIGNED: u64 = 1 << 40;

/// The weights that a round starts from, and the deltas that were admitted.
#[derive(Debug)]
pub(crate) struct ArenaEvaluator<'world> {
    pub(crate) problem: &'world Regression,
    pub(crate) weights: ToyWeights,
    pub(crate) deltas: BTreeMap<(Age, PeerId), ToyDelta>,
}

/// The windows that all are measured on, and those of one peer.
struct EvaluationData {
    random: Vec<u64>,
    own: Vec<u64>,
}

impl ArenaEvaluator<'_> {
    fn current(&self, peers: &BTreeSet<PeerId>) -> BTreeMap<PeerId, ToyDelta> {
        let found = |peer: &PeerId| Some((*peer, self.deltas.get(&(Age::Current, *peer))?.clone()));
        peers.iter().filter_map(found).collect()
    }

    /// The weights with some deltas applied, each by its share.
    fn moved(&self, deltas: &BTreeMap<PeerId, ToyDelta>, limit: f64, share: f64) -> ToyWeights {
        let mut weights = self.weights.clone();
        for delta in deltas.values() {
            let factor = share * clipping(delta, limit);
            delta.values().for_each(|(place, value)| weights[place] += factor * value);
        }
        weights
    }

    fn losses(
        &self,
        source: SampleSource,
        windows: &[u64],
        after: &[f64],
        typical: &[f64],
    ) -> ProbeLosses {
        let loss = |weights: &[f64]| self.problem.loss(weights, source, windows);
        ProbeLosses { before: loss(&self.weights), after: loss(after), typical: loss(typical) }
    }

    fn measurement(
        &self,
        questions: &EvaluationData,
        own: SampleSource,
        after: &[f64],
        typical: &[f64],
    ) -> Measurement {
        Measurement {
            own: self.losses(own, &questions.own, after, typical),
            random: self.losses(SampleSource::Nobody, &questions.random, after, typical),
        }
    }
}

impl Evaluator for ArenaEvaluator<'_> {
    fn admit(&mut self, age: Age, peer: PeerId, payload: &Bytes) -> Result<(), Exclusion> {
        self.deltas.insert((age, peer), ToyDelta::parse(payload)?);
        Ok(())
    }

    fn sketch(&self, age: Age, peer: PeerId, seed: &Seed) -> Option<Sketch> {
        let chunks = seed.draw("chunks", NUM_CHUNKS / 2, NUM_CHUNKS as u64);
        Some(self.deltas.get(&(age, peer))?.sketch(&chunks))
    }

    fn norm(&self, age: Age, peer: PeerId) -> Option<f64> {
        self.deltas.get(&(age, peer)).map(ToyDelta::norm)
    }

    fn measure(
        &mut self,
        trial: &EvaluationRequest<'_>,
    ) -> Result<BTreeMap<PeerId, Measurement>, EvaluatorError> {
        let admitted = self.current(trial.admitted);
        let (limit, share) = (median_norm(admitted.values()), trial.eval_rate * trial.outer.alpha);
        let typical = self.moved(&admitted, limit, share / admitted.len().max(1) as f64);
        let draw = |purpose: &str, bound| trial.seed.draw(purpose, trial.windows as usize, bound);
        let random = draw("random windows", NUM_UNASSIGNED);
        let measured = |peer: &PeerId| {
            let after = self.moved(&self.current(&[*peer].into()), limit, share);
            let questions = EvaluationData {
                random: random.clone(),
                own: draw(&format!("windows of {peer}"), ASSIGNED),
            };
            let own = SampleSource::Peer(trial.round, *peer);
            (*peer, self.measurement(&questions, own, &after, &typical))
        };
        Ok(trial.evaluated.keys().map(measured).collect())
    }

    fn weights_after(
        &mut self,
        included: &BTreeSet<PeerId>,
        outer: &OuterSettings,
    ) -> Result<Digest, EvaluatorError> {
        let mut weights = self.weights.clone();
        apply(&mut weights, &self.current(included), outer.alpha);
        Ok(Digest::of(&weights_to_bytes(&weights)))
    }

    fn clear(&mut self) {
        self.deltas.clear();
    }
}
