//! The life of a peer.

use bytes::Bytes;

use super::actor::ActorContext;
use super::replica::{Interruption, ToyReplica};
use crate::objects::DeltaRef;
use crate::participants::{PeerClient, Published};
use crate::primitives::Timestamp;
use crate::sim::simulation::Simulation;
use crate::sim::trace::Event;

/// Takes part until the run is over.
pub(crate) async fn live(world: &Simulation, home: &mut ActorContext) -> Result<(), Interruption> {
    let run = home.open(world).await?;
    let mut reader = ToyReplica::restore(run.clone(), home).await?;
    let member = PeerClient::new(run, home.identity.clone());
    member.join_request().await?;
    let forever = Timestamp::from_micros(u64::MAX >> 1);
    loop {
        reader.catch_up(world, home).await?;
        if reader.is_done(world) {
            return Ok(());
        }
        contribute(world, home, &reader, &member).await?;
        if let Some(manifest) = reader.light_client.wait(world.scenario.poll, forever).await? {
            reader.absorb(world, home, &manifest).await?;
        }
    }
}

/// Says that the peer is there; with a seat it trains and delivers.
async fn contribute(
    world: &Simulation,
    home: &mut ActorContext,
    reader: &ToyReplica,
    member: &PeerClient,
) -> Result<(), Interruption> {
    let (round, head) = (reader.light_client.next(), reader.light_client.head());
    member.heartbeat(round, head).await?;
    if reader.light_client.slot(member.peer()).is_none() {
        return Ok(());
    }
    let (shortest, longest) = world.scenario.training;
    let duration = shortest + longest.saturating_sub(shortest).mul_f64(home.dice.fraction());
    home.sleep(duration).await;
    let is_nonsense = home.dice.fraction() < world.scenario.nonsense;
    let delta = reader.model.train(&mut home.dice);
    let payload = if is_nonsense { Bytes::from_static(b"nonsense") } else { delta };
    if member.commit(round, head, &payload).await? != DeltaRef::of(&payload) {
        world.note(home.actor, Event::Forgot(round));
        return Ok(());
    }
    world.note(home.actor, Event::Committed(round));
    reveal(world, home, reader, member, payload).await
}

/// Publishes the delta once nobody can copy it any more; unless the round is over before.
async fn reveal(
    world: &Simulation,
    home: &ActorContext,
    reader: &ToyReplica,
    member: &PeerClient,
    payload: Bytes,
) -> Result<(), Interruption> {
    let (round, head) = (reader.light_client.next(), reader.light_client.head());
    while !member.may_reveal(round, head).await? {
        if reader.light_client.clone().poll().await?.is_some() {
            return Ok(());
        }
        home.sleep(world.scenario.poll).await;
    }
    // What was published before is the same: it was committed to.
    if let Published::Stored = member.publish(round, head, payload).await? {
        world.note(home.actor, Event::Delivered(round));
    }
    Ok(())
}
