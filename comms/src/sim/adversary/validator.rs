//! A validator of a contest.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use super::arena::{Arena, OUTER, POLL};
use super::delta::{ToyDelta, apply};
use super::evaluator::ArenaEvaluator;
use super::record::ContestRound;
use super::regression::{Regression, ToyWeights};
use crate::history::LightClient;
use crate::participants::validator::{Closed, Validator};
use crate::primitives::{Keypair, Round};
use crate::run::CommsError;

/// One validator with its copy of the weights.
pub(super) struct ArenaValidator<'arena> {
    arena: &'arena Arena,
    validator: Validator,
    weights: ToyWeights,
    keeps_record: bool,
}

impl<'arena> ArenaValidator<'arena> {
    /// Closes rounds until the end of the contest.
    pub(super) async fn run(
        arena: &'arena Arena,
        identity: Keypair,
        keeps_record: bool,
    ) -> Result<(), CommsError> {
        let light_client = LightClient::genesis(arena.open().await?);
        let validator = Validator::open(light_client, identity).await?;
        let weights = Regression::genesis();
        let mut this = Self { arena, validator, weights, keeps_record };
        while !arena.is_over(this.validator.light_client().next()) {
            let Some(closed) = this.close_round().await? else { return Ok(()) };
            this.apply(&closed);
            // Round 0 only enlists peers; its verdict scores none.
            if this.keeps_record && closed.manifest.round() > Round::FIRST {
                this.record(&closed);
            }
        }
        Ok(())
    }

    async fn close_round(&mut self) -> Result<Option<Closed>, CommsError> {
        // Never set: a contest always runs to its end.
        let interrupt = AtomicBool::new(false);
        let mut evaluator = ArenaEvaluator {
            problem: &self.arena.problem,
            weights: self.weights.clone(),
            deltas: BTreeMap::new(),
        };
        self.validator.close_round(OUTER, POLL, &mut evaluator, &interrupt).await
    }

    fn apply(&mut self, closed: &Closed) {
        let parsed = closed
            .deltas
            .iter()
            .filter_map(|(peer, payload)| Some((*peer, ToyDelta::parse(payload).ok()?)));
        apply(&mut self.weights, &parsed.collect(), OUTER.alpha);
    }

    fn record(&self, closed: &Closed) {
        let verdict = &closed.verdict;
        let loss = self.arena.problem.held_out(&self.weights);
        let num_measured = verdict.inputs.measurements.len();
        self.arena.record(ContestRound::of(&verdict.outcome, num_measured, loss));
    }
}
