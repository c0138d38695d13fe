//! The life of a validator.

use std::sync::atomic::AtomicBool;

use super::actor::ActorContext;
use super::evaluator::ToyEvaluator;
use super::replica::{Interruption, ToyReplica};
use crate::objects::{Clip, MeanOver, OuterSettings};
use crate::participants::validator::{Closed, Validator};
use crate::sim::simulation::Simulation;
use crate::sim::trace::Event;

const OUTER: OuterSettings =
    OuterSettings { alpha: 1.0, mean_over: MeanOver::Senders, clip: Clip::Off };

/// Closes rounds until the run is over.
pub(crate) async fn live(world: &Simulation, home: &mut ActorContext) -> Result<(), Interruption> {
    let run = home.open(world).await?;
    let mut reader = ToyReplica::restore(run, home).await?;
    reader.catch_up(world, home).await?;
    let mut validator = Validator::open(reader.light_client.clone(), home.identity.clone()).await?;
    let interrupt = AtomicBool::new(false);
    while !reader.is_done(world) {
        let mut bench = ToyEvaluator::new(&reader.model, world.scenario.lies(home.actor));
        let closed =
            validator.close_round(OUTER, world.scenario.poll, &mut bench, &interrupt).await?;
        let Some(Closed { manifest, deltas, .. }) = closed else { return Ok(()) };
        let (included, excluded) = (manifest.included().len(), manifest.excluded().len());
        world.note(home.actor, Event::Closed(manifest.round(), included, excluded));
        reader.light_client = validator.light_client().clone();
        reader.apply(world, home, &manifest, deltas)?;
        store(world, home, &reader, &validator).await?;
    }
    Ok(())
}

/// Now and then stores a checkpoint and removes what is not needed any more.
async fn store(
    world: &Simulation,
    home: &ActorContext,
    reader: &ToyReplica,
    validator: &Validator,
) -> Result<(), Interruption> {
    let ToyReplica { light_client, model } = reader;
    let round = light_client.next();
    if !round.0.is_multiple_of(world.scenario.rules.checkpoint_every) {
        return Ok(());
    }
    let parts = vec![("weights".to_string(), model.to_bytes())];
    let run = light_client.run();
    run.publish_checkpoint(
        &home.identity,
        round,
        light_client.head(),
        model.digest(),
        light_client.outer_steps(),
        parts,
    )
    .await?;
    world.note(home.actor, Event::Checkpointed(round));
    Ok(validator.retire().await?)
}
