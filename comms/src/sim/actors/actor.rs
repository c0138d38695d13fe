//! What outlasts an actor's process: its name, its line and clock, and what it saved.

use std::sync::Arc;
use std::time::Duration;

use super::toy_model::ToyModel;
use crate::bucket::Bucket;
use crate::bucket::decorators::{Faulty, RateLimited, Retry, RetryPolicy};
use crate::history::LightClientState;
use crate::primitives::{Clock, Keypair, SeededRng};
use crate::run::{CommsError, Run};
use crate::sim::network::{Link, SkewedClock};
use crate::sim::simulation::Simulation;
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
    pub(crate) position: LightClientState,
    pub(crate) model: ToyModel,
}

/// Where an actor lives through all its lives.
#[derive(Debug)]
pub(crate) struct ActorContext {
    pub(crate) actor: Actor,
    pub(crate) identity: Keypair,
    pub(crate) bucket: Arc<dyn Bucket>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dice: SeededRng,
    /// What the last life saved.
    pub(crate) saved: Option<Saved>,
}

impl ActorContext {
    /// A bucket of its own faults, a line of its own cuts, a clock of its own error.
    pub(crate) fn new(world: &Simulation, actor: Actor) -> Self {
        let scenario = &world.scenario;
        let mut dice = SeededRng::named(scenario.seed, &actor.to_string(), 0);
        let skewed =
            SkewedClock::new(world.clock.clone(), scenario.skew, 2.0 * dice.fraction() - 1.0);
        let clock: Arc<dyn Clock> = Arc::new(skewed);
        let faulty = Faulty::new(world.bucket.clone(), clock.clone(), scenario.faults, dice.bits());
        let line_dice = SeededRng::new(dice.bits());
        let line =
            Link::new(faulty, clock.clone(), scenario.latency, scenario.partitions, line_dice);
        let retry = Retry::new(line, clock.clone(), RETRY, dice.bits());
        let bucket = Arc::new(RateLimited::new(retry, clock.clone(), scenario.bandwidth));
        Self { actor, identity: identity(scenario.seed, actor), bucket, clock, dice, saved: None }
    }

    pub(crate) async fn open(&self, world: &Simulation) -> Result<Run, CommsError> {
        Run::open(self.bucket.clone(), self.clock.clone(), Some(world.id)).await
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.clock.sleep_until(self.clock.now() + duration).await;
    }
}

/// Who an actor is, in all its lives.
pub(crate) fn identity(seed: u64, actor: Actor) -> Keypair {
    let mut dice = SeededRng::named(seed, &actor.to_string(), 1);
    let mut secret = [0; 32];
    secret.chunks_exact_mut(8).for_each(|bytes| bytes.copy_from_slice(&dice.bits().to_le_bytes()));
    Keypair::from_secret(&secret)
}
