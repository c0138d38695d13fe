//! A simulated validator.

use std::sync::atomic::AtomicBool;

use super::actor::ActorContext;
use super::evaluator::ToyEvaluator;
use super::replica::ToyReplica;
use crate::objects::{Clipping, Divisor, OuterSettings};
use crate::participants::validator::{Closed, Validator};
use crate::sim::failure::Interruption;
use crate::sim::trace::Event;
use crate::sim::world::World;

// Without clipping, because `ToyModel::apply` has none.
const OUTER: OuterSettings =
    OuterSettings { alpha: 1.0, mean_over: Divisor::Senders, clip: Clipping::Off };

/// Closes rounds until the end of the run.
pub(crate) async fn run(world: &World, context: &mut ActorContext) -> Result<(), Interruption> {
    let run = context.open(world).await?;
    let mut replica = ToyReplica::restore(run, context).await?;
    replica.catch_up(world, context).await?;
    let light_client = replica.light_client.clone();
    let mut validator = Validator::open(light_client, context.identity.clone()).await?;
    // Never set: a simulated crash drops the whole future instead.
    let interrupt = AtomicBool::new(false);
    while !replica.is_done(world) {
        let is_dishonest = world.scenario.is_dishonest(context.actor);
        let mut evaluator = ToyEvaluator::new(&replica.model, is_dishonest);
        let closed =
            validator.close_round(OUTER, world.scenario.poll, &mut evaluator, &interrupt).await?;
        let Some(Closed { manifest, deltas, .. }) = closed else { return Ok(()) };
        let (included, excluded) = (manifest.included().len(), manifest.excluded().len());
        world.record(context.actor, Event::Closed(manifest.round(), included, excluded));
        replica.light_client = validator.light_client().clone();
        replica.apply(world, context, &manifest, deltas)?;
        publish_checkpoint(world, context, &replica, &validator).await?;
    }
    Ok(())
}

/// Publishes a checkpoint in every n-th round and removes old objects.
async fn publish_checkpoint(
    world: &World,
    context: &ActorContext,
    replica: &ToyReplica,
    validator: &Validator,
) -> Result<(), Interruption> {
    let ToyReplica { light_client, model } = replica;
    let round = light_client.next();
    if !round.0.is_multiple_of(world.scenario.round_params.checkpoint_every) {
        return Ok(());
    }
    let parts = vec![("weights".to_string(), model.to_bytes())];
    let run = light_client.run();
    run.publish_checkpoint(
        &context.identity,
        round,
        light_client.head(),
        model.digest(),
        light_client.outer_steps(),
        parts,
    )
    .await?;
    world.record(context.actor, Event::Checkpointed(round));
    // After the checkpoint: deltas before it are needed until it exists.
    Ok(validator.retire().await?)
}
