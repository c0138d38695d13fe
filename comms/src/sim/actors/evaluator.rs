//! How validators of a simulation try deltas on the model.

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

/// The model of a round and the deltas that are tried on it.
#[derive(Debug)]
pub(crate) struct ToyEvaluator<'model> {
    model: &'model ToyModel,
    deltas: BTreeMap<PeerId, Bytes>,
    /// Whether it tells something else than it finds.
    lies: bool,
}

impl<'model> ToyEvaluator<'model> {
    pub(crate) fn new(model: &'model ToyModel, lies: bool) -> Self {
        Self { model, deltas: BTreeMap::new(), lies }
    }

    /// The loss with `share` of a delta applied: half the squared distance from the best weights, and something that
    /// nobody can learn.
    fn loss(&self, peer: PeerId, outer: &OuterSettings, share: f64) -> Result<f64, EvaluatorError> {
        let mut model = self.model.clone();
        let delta = self.deltas.get(&peer).map(|delta| (peer, delta.clone()));
        let outer = OuterSettings { alpha: outer.alpha * share, ..*outer };
        model.apply(&delta.into_iter().collect(), &outer).map_err(|reason| reason.to_string())?;
        let lie = if self.lies { 1.0 } else { 0.0 };
        Ok(1.0 + f64::from(model.distance()).powi(2) / 2.0 + lie)
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

    /// All deltas move all of the few weights there are.
    fn sketch(&self, _: Age, _: PeerId, _: &Seed) -> Option<Sketch> {
        None
    }

    fn measure(
        &mut self,
        trial: &EvaluationRequest<'_>,
    ) -> Result<BTreeMap<PeerId, Measurement>, EvaluatorError> {
        let measured = trial.evaluated.keys().map(|peer| {
            let before = self.loss(*peer, trial.outer, 0.0)?;
            let after = self.loss(*peer, trial.outer, trial.eval_rate)?;
            // What was trained on is learned a little better than the rest.
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
