//! What outlasts an actor's process: its name, its line and clock, and what it saved.

use std::sync::Arc;
use std::time::Duration;

use super::toy_model::Model;
use crate::bucket::Bucket;
use crate::bucket::decorators::{Bandwidth, Faulty, Retry, RetryPolicy};
use crate::history::Position;
use crate::primitives::{Clock, Identity, Seeded};
use crate::run::{CommsError, Run};
use crate::sim::network::{Line, SkewedClock};
use crate::sim::simulation::World;
use crate::sim::trace::Actor;

const RETRY: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_millis(200),
    longest_pause: Duration::from_secs(5),
    try_limit: Duration::from_secs(8),
    deadline: Duration::from_secs(60),
};

/// Weights and where in the run they belong.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    pub(crate) position: Position,
    pub(crate) model: Model,
}

/// Where an actor lives through all its lives.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) actor: Actor,
    pub(crate) identity: Identity,
    pub(crate) bucket: Arc<dyn Bucket>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dice: Seeded,
    /// What the last life saved.
    pub(crate) saved: Option<Saved>,
}

impl Home {
    /// A bucket of its own faults, a line of its own cuts, a clock of its own error.
    pub(crate) fn new(world: &World, actor: Actor) -> Self {
        let scenario = &world.scenario;
        let mut dice = Seeded::named(scenario.seed, &actor.to_string(), 0);
        let skewed = SkewedClock::new(world.clock.clone(), scenario.skew, 2.0 * dice.fraction() - 1.0);
        let clock: Arc<dyn Clock> = Arc::new(skewed);
        let faulty = Faulty::new(world.bucket.clone(), clock.clone(), scenario.faults, dice.bits());
        let line_dice = Seeded::new(dice.bits());
        let line = Line::new(faulty, clock.clone(), scenario.latency, scenario.partitions, line_dice);
        let retry = Retry::new(line, clock.clone(), RETRY, dice.bits());
        let bucket = Arc::new(Bandwidth::new(retry, clock.clone(), scenario.bandwidth));
        Self { actor, identity: identity(scenario.seed, actor), bucket, clock, dice, saved: None }
    }

    pub(crate) async fn open(&self, world: &World) -> Result<Run, CommsError> {
        Run::open(self.bucket.clone(), self.clock.clone(), Some(world.id)).await
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.clock.sleep_until(self.clock.now() + duration).await;
    }
}

/// Who an actor is, in all its lives.
pub(crate) fn identity(seed: u64, actor: Actor) -> Identity {
    let mut dice = Seeded::named(seed, &actor.to_string(), 1);
    let mut secret = [0; 32];
    secret.chunks_exact_mut(8).for_each(|bytes| bytes.copy_from_slice(&dice.bits().to_le_bytes()));
    Identity::from_secret(&secret)
}
