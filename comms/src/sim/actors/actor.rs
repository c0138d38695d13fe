//! The parts of an actor that survive a crash: its key, link, clock, and saved state.

use std::sync::Arc;
use std::time::Duration;

use super::toy_model::ToyModel;
use crate::bucket::Bucket;
use crate::bucket::decorators::{Faulty, RateLimited, Retry, RetryPolicy};
use crate::history::LightClientState;
use crate::primitives::{Clock, Keypair, SeededRng};
use crate::run::{CommsError, Run};
use crate::sim::keys::keypair_from;
use crate::sim::network::{BucketLink, SkewedClock};
use crate::sim::trace::Actor;
use crate::sim::world::World;

/// Shorter than in real runs: an outage then also reaches the code above the retry.
const RETRY: RetryPolicy = RetryPolicy {
    first_pause: Duration::from_millis(200),
    longest_pause: Duration::from_secs(5),
    try_limit: Duration::from_secs(8),
    deadline: Duration::from_secs(60),
};

/// The saved state of an actor: weights with their position in the history.
#[derive(Clone, Debug)]
pub(crate) struct SavedState {
    pub(crate) position: LightClientState,
    pub(crate) model: ToyModel,
}

/// The environment of an actor, from its first start to its end.
#[derive(Debug)]
pub(crate) struct ActorContext {
    pub(crate) actor: Actor,
    pub(crate) identity: Keypair,
    pub(crate) bucket: Arc<dyn Bucket>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: SeededRng,
    /// The state on disk, if there is one.
    pub(crate) saved: Option<SavedState>,
}

impl ActorContext {
    /// An actor with its own faults, link and clock error.
    pub(crate) fn new(world: &World, actor: Actor) -> Self {
        let scenario = &world.scenario;
        let mut rng = SeededRng::named(scenario.seed, &actor.to_string(), 0);
        let skewed = SkewedClock::new(
            world.clock.clone(),
            scenario.max_clock_skew,
            2.0 * rng.fraction() - 1.0,
        );
        let clock: Arc<dyn Clock> = Arc::new(skewed);
        // From the store to the actor: faults of the store, then the link, then the retry of the
        // client, which sees both, then the rate limit of the machine.
        let faulty = Faulty::new(world.bucket.clone(), clock.clone(), scenario.faults, rng.bits());
        let link_rng = SeededRng::new(rng.bits());
        let (latency, partitions) = (scenario.latency, scenario.partitions);
        let link = BucketLink::new(faulty, clock.clone(), latency, partitions, link_rng);
        let retry = Retry::new(link, clock.clone(), RETRY, rng.bits());
        let bucket = Arc::new(RateLimited::new(retry, clock.clone(), scenario.bandwidth));
        Self { actor, identity: identity(scenario.seed, actor), bucket, clock, rng, saved: None }
    }

    pub(crate) async fn open(&self, world: &World) -> Result<Run, CommsError> {
        Run::open(self.bucket.clone(), self.clock.clone(), Some(world.id)).await
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.clock.sleep_until(self.clock.now() + duration).await;
    }
}

/// The key pair of an actor, the same after each restart.
pub(crate) fn identity(seed: u64, actor: Actor) -> Keypair {
    keypair_from(&mut SeededRng::named(seed, &actor.to_string(), 1))
}
