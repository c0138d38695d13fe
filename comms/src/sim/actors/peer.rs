//! A simulated peer.

use bytes::Bytes;

use super::actor::ActorContext;
use super::replica::ToyReplica;
use crate::objects::DeltaRef;
use crate::participants::{PeerClient, Published};
use crate::sim::failure::Interruption;
use crate::sim::trace::Event;
use crate::sim::world::{NEVER, World};

/// Takes part until the end of the run.
pub(crate) async fn run(world: &World, context: &mut ActorContext) -> Result<(), Interruption> {
    let run = context.open(world).await?;
    let mut replica = ToyReplica::restore(run.clone(), context).await?;
    let client = PeerClient::new(run, context.identity.clone());
    client.join_request().await?;
    loop {
        replica.catch_up(world, context).await?;
        if replica.is_done(world) {
            return Ok(());
        }
        contribute(world, context, &replica, &client).await?;
        if let Some(manifest) = replica.light_client.wait(world.scenario.poll, NEVER).await? {
            replica.absorb(world, context, &manifest).await?;
        }
    }
}

/// Publishes a heartbeat; an active peer also trains, commits and delivers.
async fn contribute(
    world: &World,
    context: &mut ActorContext,
    replica: &ToyReplica,
    client: &PeerClient,
) -> Result<(), Interruption> {
    let (round, head) = (replica.light_client.next(), replica.light_client.head());
    client.heartbeat(round, head).await?;
    if replica.light_client.slot(client.peer()).is_none() {
        return Ok(());
    }
    let (shortest, longest) = world.scenario.training_time;
    let duration = shortest + longest.saturating_sub(shortest).mul_f64(context.rng.fraction());
    context.sleep(duration).await;
    let is_malformed = context.rng.fraction() < world.scenario.malformed_share;
    // Trained in any case: both kinds then draw the same numbers, and the seeds stay comparable.
    let delta = replica.model.train(&mut context.rng);
    let payload = if is_malformed { Bytes::from_static(b"nonsense") } else { delta };
    // The client returns the binding commitment. After a crash it can be an older one, and the
    // random delta of then cannot be computed again.
    if client.commit(round, head, &payload).await? != DeltaRef::of(&payload) {
        world.record(context.actor, Event::CommittedBefore(round));
        return Ok(());
    }
    world.record(context.actor, Event::Committed(round));
    reveal(world, context, replica, client, payload).await
}

/// Publishes the delta once commitments are closed, unless the round ends first.
async fn reveal(
    world: &World,
    context: &ActorContext,
    replica: &ToyReplica,
    client: &PeerClient,
    payload: Bytes,
) -> Result<(), Interruption> {
    let (round, head) = (replica.light_client.next(), replica.light_client.head());
    while !client.may_reveal(round, head).await? {
        // A clone: the replica itself must apply the manifest before it moves to the next round.
        if replica.light_client.clone().poll().await?.is_some() {
            return Ok(());
        }
        context.sleep(world.scenario.poll).await;
    }
    // Only the first delivery counts; a delta from before a crash is equal to this one.
    if let Published::Stored = client.publish(round, head, payload).await? {
        world.record(context.actor, Event::Delivered(round));
    }
    Ok(())
}
