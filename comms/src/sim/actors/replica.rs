//! Weights that follow a run, as every actor keeps them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::actor::{Home, Saved};
use super::toy_model::Model;
use crate::history::Follower;
use crate::objects::Manifest;
use crate::primitives::PeerId;
use crate::run::{CommsError, Run};
use crate::sim::failure::Problem;
use crate::sim::scenario::Sabotage;
use crate::sim::simulation::World;
use crate::sim::trace::{Actor, Event};

/// Why a life ends before its time.
#[derive(Debug)]
pub(crate) enum Interruption {
    /// The bucket, or what lies in it.
    Comms(CommsError),
    /// A law is broken.
    Problem(Box<Problem>),
}

impl From<Problem> for Interruption {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem.into())
    }
}

impl From<CommsError> for Interruption {
    fn from(error: CommsError) -> Self {
        Self::Comms(error)
    }
}

/// Weights, and the rounds that led to them.
pub(crate) struct Reader {
    pub(crate) follower: Follower,
    pub(crate) model: Model,
}

impl Reader {
    /// What the last life saved, or the newest checkpoint, or the beginning.
    pub(crate) async fn restore(run: Run, home: &Home) -> Result<Self, CommsError> {
        if let Some(Saved { position, model }) = home.saved.clone() {
            return Ok(Self { follower: Follower::resume(run, position), model });
        }
        let Some(round) = run.checkpoints().await?.pop() else {
            return Ok(Self { follower: Follower::genesis(run), model: Model::genesis() });
        };
        let checkpoint = run.checkpoint(round).await?;
        let mut model = Model::genesis();
        for part in &checkpoint.parts {
            let bytes = run.checkpoint_part(round, part).await?;
            model = Model::parse(&bytes).unwrap_or(model);
        }
        Ok(Self { follower: Follower::from_checkpoint(run, &checkpoint).await?, model })
    }

    /// Applies all rounds that are over.
    pub(crate) async fn catch_up(&mut self, world: &World, home: &mut Home) -> Result<(), Interruption> {
        while !self.is_done(world)
            && let Some(manifest) = self.follower.poll().await?
        {
            self.absorb(world, home, &manifest).await?;
        }
        Ok(())
    }

    pub(crate) fn is_done(&self, world: &World) -> bool {
        self.follower.next().0 >= world.scenario.rounds
    }

    /// Fetches and applies what a manifest includes.
    pub(crate) async fn absorb(
        &mut self,
        world: &World,
        home: &mut Home,
        manifest: &Manifest,
    ) -> Result<(), Interruption> {
        let deltas = self.follower.gather(manifest).await?;
        self.apply(world, home, manifest, deltas)
    }

    /// Applies a round, shows the result to the witness, and saves it more often than not.
    pub(crate) fn apply(
        &mut self,
        world: &World,
        home: &mut Home,
        manifest: &Manifest,
        mut deltas: BTreeMap<PeerId, Bytes>,
    ) -> Result<(), Interruption> {
        let (actor, round) = (home.actor, manifest.round());
        for sabotage in &world.scenario.sabotage {
            if let Sabotage::ForgetsADelta { peer, from } = sabotage
                && actor == Actor::Peer(*peer)
                && round >= *from
            {
                deltas.pop_last();
            }
        }
        let not_applicable = |reason| Problem::NotApplicable { actor, round, reason };
        self.model.apply(&deltas, manifest.outer()).map_err(not_applicable)?;
        world.note(actor, Event::Applied(round, deltas.len(), self.follower.head()));
        if self.model.digest() != manifest.grounds().weights && world.scenario.sabotage.is_empty() {
            return Err(Problem::NotAsPromised { actor, round }.into());
        }
        world.witness(actor, self.follower.next(), self.follower.head(), &self.model)?;
        if home.dice.fraction() < 0.7 {
            home.saved = Some(Saved { position: self.follower.position(), model: self.model.clone() });
        }
        Ok(())
    }
}
