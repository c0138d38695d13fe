//! The evaluator of simulated validators.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::toy_model::ToyModel;
use crate::agreement::draw::Seed;
use crate::gauntlet::checks::Sketch;
use crate::gauntlet::scoring::{
    Age, EvaluationRequest, Evaluator, EvaluatorError, Measurement, ProbeLosses,
};
use crate::objects::{Exclusion, OuterSettings};
use crate::primitives::{Digest, PeerId};

/// The model at the start of a round, with the deltas under evaluation.
#[derive(Debug)]
pub(crate) struct ToyEvaluator<'model> {
    model: &'model ToyModel,
    deltas: BTreeMap<PeerId, Bytes>,
    is_dishonest: bool,
}

impl<'model> ToyEvaluator<'model> {
    pub(crate) fn new(model: &'model ToyModel, is_dishonest: bool) -> Self {
        Self { model, deltas: BTreeMap::new(), is_dishonest }
    }

    /// The loss with `share` of a delta applied: half the squared distance from the optimum, plus
    /// an irreducible loss of 1.
    fn loss(&self, peer: PeerId, outer: &OuterSettings, share: f64) -> Result<f64, EvaluatorError> {
        let mut model = self.model.clone();
        let delta = self.deltas.get(&peer).map(|delta| (peer, delta.clone()));
        let outer = OuterSettings { alpha: outer.alpha * share, ..*outer };
        model.apply(&delta.into_iter().collect(), &outer).map_err(|reason| reason.to_string())?;
        // Far beyond the tolerance of a comparison, so honest validators must notice it.
        let offset = if self.is_dishonest { 1.0 } else { 0.0 };
        Ok(1.0 + f64::from(model.distance()).powi(2) / 2.0 + offset)
    }
}

impl Evaluator for ToyEvaluator<'_> {
    fn admit(&mut self, age: Age, peer: PeerId, payload: &Bytes) -> Result<(), Exclusion> {
        ToyModel::parse(payload)?;
        if age == Age::Current {
            self.deltas.insert(peer, payload.clone());
        }
        Ok(())
    }

    // All deltas change all weights, so their positions say nothing about copies.
    fn sketch(&self, _: Age, _: PeerId, _: &Seed) -> Option<Sketch> {
        None
    }

    fn measure(
        &mut self,
        request: &EvaluationRequest<'_>,
    ) -> Result<BTreeMap<PeerId, Measurement>, EvaluatorError> {
        let measured = request.evaluated.keys().map(|peer| {
            let before = self.loss(*peer, request.outer, 0.0)?;
            let after = self.loss(*peer, request.outer, request.eval_rate)?;
            // The gain on assigned data is a tenth larger, as for a peer that trained on it: the
            // Gauntlet expects this difference from honest work.
            let own = ProbeLosses {
                before,
                after: after - (before - after).abs() / 10.0,
                typical: before,
            };
            Ok((*peer, Measurement { own, random: ProbeLosses { before, after, typical: before } }))
        });
        measured.collect()
    }

    fn weights_after(
        &mut self,
        included: &BTreeSet<PeerId>,
        outer: &OuterSettings,
    ) -> Result<Digest, EvaluatorError> {
        let mut model = self.model.clone();
        let deltas = self.deltas.iter().filter(|(peer, _)| included.contains(peer));
        let deltas: BTreeMap<_, _> = deltas.map(|(peer, delta)| (*peer, delta.clone())).collect();
        if !deltas.is_empty() {
            model.apply(&deltas, outer).map_err(|reason| reason.to_string())?;
        }
        Ok(model.digest())
    }

    fn clear(&mut self) {
        self.deltas.clear();
    }
}
