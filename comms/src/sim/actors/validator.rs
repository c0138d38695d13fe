//! The life of a validator.

use std::sync::atomic::AtomicBool;

use super::actor::Home;
use super::evaluator::Bench;
use super::replica::{Interruption, Reader};
use crate::objects::{Clip, MeanOver, OuterSettings};
use crate::participants::validator::{Closed, Validator};
use crate::sim::simulation::World;
use crate::sim::trace::Event;

const OUTER: OuterSettings = OuterSettings { alpha: 1.0, mean_over: MeanOver::Senders, clip: Clip::Off };

/// Closes rounds until the run is over.
pub(crate) async fn live(world: &World, home: &mut Home) -> Result<(), Interruption> {
    let run = home.open(world).await?;
    let mut reader = Reader::restore(run, home).await?;
    reader.catch_up(world, home).await?;
    let mut validator = Validator::open(reader.follower.clone(), home.identity.clone()).await?;
    let interrupt = AtomicBool::new(false);
    while !reader.is_done(world) {
        let mut bench = Bench::new(&reader.model, world.scenario.lies(home.actor));
        let closed = validator.close_round(OUTER, world.scenario.poll, &mut bench, &interrupt).await?;
        let Some(Closed { manifest, deltas, .. }) = closed else { return Ok(()) };
        let (included, excluded) = (manifest.included().len(), manifest.excluded().len());
        world.note(home.actor, Event::Closed(manifest.round(), included, excluded));
        reader.follower = validator.follower().clone();
        reader.apply(world, home, &manifest, deltas)?;
        store(world, home, &reader, &validator).await?;
    }
    Ok(())
}

/// Now and then stores a checkpoint and removes what is not needed any more.
async fn store(world: &World, home: &Home, reader: &Reader, validator: &Validator) -> Result<(), Interruption> {
    let Reader { follower, model } = reader;
    let round = follower.next();
    if !round.0.is_multiple_of(world.scenario.rules.checkpoint_every) {
        return Ok(());
    }
    let parts = vec![("weights".to_string(), model.to_bytes())];
    let run = follower.run();
    run.publish_checkpoint(&home.identity, round, follower.head(), model.digest(), follower.outer_steps(), parts)
        .await?;
    world.note(home.actor, Event::Checkpointed(round));
    Ok(validator.retire().await?)
}
