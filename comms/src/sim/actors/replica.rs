//! Weights that follow a run, as every actor keeps them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::actor::{ActorContext, Saved};
use super::toy_model::ToyModel;
use crate::history::LightClient;
use crate::objects::Manifest;
use crate::primitives::PeerId;
use crate::run::{CommsError, Run};
use crate::sim::failure::FailureKind;
use crate::sim::scenario::InjectedFailure;
use crate::sim::simulation::Simulation;
use crate::sim::trace::{Actor, Event};

/// Why a life ends before its time.
#[derive(Debug)]
pub(crate) enum Interruption {
    /// The bucket, or what lies in it.
    Comms(CommsError),
    /// A law is broken.
    FailureKind(Box<FailureKind>),
}

impl From<FailureKind> for Interruption {
    fn from(problem: FailureKind) -> Self {
        Self::FailureKind(problem.into())
    }
}

impl From<CommsError> for Interruption {
    fn from(error: CommsError) -> Self {
        Self::Comms(error)
    }
}

/// Weights, and the rounds that led to them.
pub(crate) struct ToyReplica {
    pub(crate) light_client: LightClient,
    pub(crate) model: ToyModel,
}

impl ToyReplica {
    /// What the last life saved, or the newest checkpoint, or the beginning.
    pub(crate) async fn restore(run: Run, home: &ActorContext) -> Result<Self, CommsError> {
        if let Some(Saved { position, model }) = home.saved.clone() {
            return Ok(Self { light_client: LightClient::resume(run, position), model });
        }
        let Some(round) = run.checkpoints().await?.pop() else {
            return Ok(Self {
                light_client: LightClient::genesis(run),
                model: ToyModel::genesis(),
            });
        };
        let checkpoint = run.checkpoint(round).await?;
        let mut model = ToyModel::genesis();
        for part in &checkpoint.parts {
            let bytes = run.checkpoint_part(round, part).await?;
            model = ToyModel::parse(&bytes).unwrap_or(model);
        }
        Ok(Self { light_client: LightClient::from_checkpoint(run, &checkpoint).await?, model })
    }

    /// Applies all rounds that are over.
    pub(crate) async fn catch_up(
        &mut self,
        world: &Simulation,
        home: &mut ActorContext,
    ) -> Result<(), Interruption> {
        while !self.is_done(world)
            && let Some(manifest) = self.light_client.poll().await?
        {
            self.absorb(world, home, &manifest).await?;
        }
        Ok(())
    }

    pub(crate) fn is_done(&self, world: &Simulation) -> bool {
        self.light_client.next().0 >= world.scenario.rounds
    }

    /// Fetches and applies what a manifest includes.
    pub(crate) async fn absorb(
        &mut self,
        world: &Simulation,
        home: &mut ActorContext,
        manifest: &Manifest,
    ) -> Result<(), Interruption> {
        let deltas = self.light_client.gather(manifest).await?;
        self.apply(world, home, manifest, deltas)
    }

    /// Applies a round, shows the result to the witness, and saves it more often than not.
    pub(crate) fn apply(
        &mut self,
        world: &Simulation,
        home: &mut ActorContext,
        manifest: &Manifest,
        mut deltas: BTreeMap<PeerId, Bytes>,
    ) -> Result<(), Interruption> {
        let (actor, round) = (home.actor, manifest.round());
        for sabotage in &world.scenario.sabotage {
            if let InjectedFailure::ForgetsADelta { peer, from } = sabotage
                && actor == Actor::Peer(*peer)
                && round >= *from
            {
                deltas.pop_last();
            }
        }
        let not_applicable = |reason| FailureKind::NotApplicable { actor, round, reason };
        self.model.apply(&deltas, manifest.outer()).map_err(not_applicable)?;
        world.note(actor, Event::Applied(round, deltas.len(), self.light_client.head()));
        if self.model.digest() != manifest.basis().weights && world.scenario.sabotage.is_empty() {
            return Err(FailureKind::NotAsPromised { actor, round }.into());
        }
        world.witness(actor, self.light_client.next(), self.light_client.head(), &self.model)?;
        if home.dice.fraction() < 0.7 {
            home.saved =
                Some(Saved { position: self.light_client.position(), model: self.model.clone() });
        }
        Ok(())
    }
}
