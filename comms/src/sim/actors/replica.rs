//! The copy of the weights that every actor keeps.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::actor::{ActorContext, SavedState};
use super::toy_model::ToyModel;
use crate::history::LightClient;
use crate::objects::Manifest;
use crate::primitives::PeerId;
use crate::run::{CommsError, Run};
use crate::sim::failure::{FailureKind, Interruption};
use crate::sim::trace::Event;
use crate::sim::world::World;

/// The probability that an actor saves its state after a round.
// Below 1, so actors also restart from states that are several rounds old.
const SAVE_PROBABILITY: f64 = 0.7;

/// Weights with the light client that verified the rounds up to them.
pub(crate) struct ToyReplica {
    pub(crate) light_client: LightClient,
    pub(crate) model: ToyModel,
}

impl ToyReplica {
    /// Restores the saved state, or the newest checkpoint, or starts from genesis.
    pub(crate) async fn restore(run: Run, context: &ActorContext) -> Result<Self, CommsError> {
        if let Some(SavedState { position, model }) = context.saved.clone() {
            return Ok(Self { light_client: LightClient::resume(run, position), model });
        }
        let Some(round) = run.checkpoints().await?.pop() else {
            return Ok(Self {
                light_client: LightClient::genesis(run),
                model: ToyModel::genesis(),
            });
        };
        let checkpoint = run.checkpoint(round).await?;
        // One part holds all weights. The digest of the part was checked, so it parses.
        let mut model = ToyModel::genesis();
        for part in &checkpoint.parts {
            let bytes = run.checkpoint_part(round, part).await?;
            model = ToyModel::parse(&bytes).unwrap_or(model);
        }
        Ok(Self { light_client: LightClient::from_checkpoint(run, &checkpoint).await?, model })
    }

    /// Applies all closed rounds.
    pub(crate) async fn catch_up(
        &mut self,
        world: &World,
        context: &mut ActorContext,
    ) -> Result<(), Interruption> {
        while !self.is_done(world)
            && let Some(manifest) = self.light_client.poll().await?
        {
            self.absorb(world, context, &manifest).await?;
        }
        Ok(())
    }

    pub(crate) fn is_done(&self, world: &World) -> bool {
        self.light_client.next().0 >= world.scenario.rounds
    }

    /// Fetches and applies the included deltas of a manifest.
    pub(crate) async fn absorb(
        &mut self,
        world: &World,
        context: &mut ActorContext,
        manifest: &Manifest,
    ) -> Result<(), Interruption> {
        let deltas = self.light_client.gather(manifest).await?;
        self.apply(world, context, manifest, deltas)
    }

    /// Applies a round, checks the weights against those of all other actors, and usually saves.
    pub(crate) fn apply(
        &mut self,
        world: &World,
        context: &mut ActorContext,
        manifest: &Manifest,
        mut deltas: BTreeMap<PeerId, Bytes>,
    ) -> Result<(), Interruption> {
        let (actor, round) = (context.actor, manifest.round());
        if world.scenario.omits_delta(actor, round) {
            deltas.pop_last();
        }
        self.model
            .apply(&deltas, manifest.outer())
            .map_err(|reason| FailureKind::NotApplicable { actor, round, reason })?;
        let (next, head) = (self.light_client.next(), self.light_client.head());
        world.record(actor, Event::Applied(round, deltas.len(), head));
        // Not with injected failures: their tests expect the comparison between actors to fail.
        let weights = self.model.digest();
        if weights != manifest.basis().weights && world.scenario.injected_failures.is_empty() {
            return Err(FailureKind::WeightsDifferFromManifest { actor, round }.into());
        }
        world
            .check_weights(actor, next, (head, weights), self.model.distance())
            .map_err(Interruption::Law)?;
        if context.rng.fraction() < SAVE_PROBABILITY {
            context.saved = Some(SavedState {
                position: self.light_client.position(),
                model: self.model.clone(),
            });
        }
        Ok(())
    }
}
