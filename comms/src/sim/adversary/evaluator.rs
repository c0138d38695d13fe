//! The evaluator of validators in a contest.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::delta::{ToyDelta, apply, clip_factor, median_norm, weights_to_bytes};
use super::regression::{ASSIGNED, NUM_CHUNKS, Regression, SampleSource, ToyWeights};
use crate::agreement::draw::Seed;
use crate::gauntlet::checks::Sketch;
use crate::gauntlet::scoring::{
    Age, EvaluationRequest, Evaluator, EvaluatorError, Measurement, ProbeLosses,
};
use crate::objects::{Exclusion, OuterSettings};
use crate::primitives::{Digest, PeerId};

/// The number of unassigned windows, of which each round draws a few.
// So many that an attacker cannot train on those of a later draw.
const NUM_UNASSIGNED: u64 = 1 << 40;

/// The weights at the start of a round, with the admitted deltas.
#[derive(Debug)]
pub(super) struct ArenaEvaluator<'arena> {
    pub(super) problem: &'arena Regression,
    pub(super) weights: ToyWeights,
    pub(super) deltas: BTreeMap<(Age, PeerId), ToyDelta>,
}

/// The windows of one evaluation.
struct EvaluationWindows {
    random: Vec<u64>,
    own: Vec<u64>,
}

impl ArenaEvaluator<'_> {
    fn current(&self, peers: &BTreeSet<PeerId>) -> BTreeMap<PeerId, ToyDelta> {
        peers
            .iter()
            .filter_map(|peer| Some((*peer, self.deltas.get(&(Age::Current, *peer))?.clone())))
            .collect()
    }

    /// The weights with some deltas applied, each scaled by `share`.
    fn moved(&self, deltas: &BTreeMap<PeerId, ToyDelta>, limit: f64, share: f64) -> ToyWeights {
        let mut weights = self.weights.clone();
        for delta in deltas.values() {
            let factor = share * clip_factor(delta, limit);
            delta.values().for_each(|(at, value)| weights[at] += factor * value);
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
        ProbeLosses {
            before: self.problem.loss(&self.weights, source, windows),
            after: self.problem.loss(after, source, windows),
            typical: self.problem.loss(typical, source, windows),
        }
    }

    fn measurement(
        &self,
        windows: &EvaluationWindows,
        own: SampleSource,
        after: &[f64],
        typical: &[f64],
    ) -> Measurement {
        Measurement {
            own: self.losses(own, &windows.own, after, typical),
            random: self.losses(SampleSource::Unassigned, &windows.random, after, typical),
        }
    }
}

impl Evaluator for ArenaEvaluator<'_> {
    fn admit(&mut self, age: Age, peer: PeerId, payload: &Bytes) -> Result<(), Exclusion> {
        // Both ages: deltas of the previous round are needed to find copies of them.
        self.deltas.insert((age, peer), ToyDelta::parse(payload)?);
        Ok(())
    }

    fn sketch(&self, age: Age, peer: PeerId, seed: &Seed) -> Option<Sketch> {
        // Half of the chunks, drawn after the reveal: a copier cannot know which ones to change.
        let chunks = seed.draw("chunks", NUM_CHUNKS / 2, NUM_CHUNKS as u64);
        Some(self.deltas.get(&(age, peer))?.sketch(&chunks))
    }

    fn norm(&self, age: Age, peer: PeerId) -> Option<f64> {
        self.deltas.get(&(age, peer)).map(ToyDelta::norm)
    }

    fn measure(
        &mut self,
        request: &EvaluationRequest<'_>,
    ) -> Result<BTreeMap<PeerId, Measurement>, EvaluatorError> {
        let admitted = self.current(request.admitted);
        let limit = median_norm(admitted.values());
        let share = request.eval_rate * request.outer.alpha;
        // The mean of all admitted deltas: each by its part of the same step length.
        let typical = self.moved(&admitted, limit, share / admitted.len().max(1) as f64);
        let count = request.windows as usize;
        // The same random windows for all peers, so their losses can be compared.
        let random = request.seed.draw("random windows", count, NUM_UNASSIGNED);
        let measured = request.evaluated.keys().map(|peer| {
            let after = self.moved(&self.current(&[*peer].into()), limit, share);
            let windows = EvaluationWindows {
                random: random.clone(),
                own: request.seed.draw(&format!("windows of {peer}"), count, ASSIGNED),
            };
            let own = SampleSource::Peer(request.round, *peer);
            (*peer, self.measurement(&windows, own, &after, &typical))
        });
        Ok(measured.collect())
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
