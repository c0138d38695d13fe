//! All that decides how a simulation goes.

use std::time::Duration;

use super::trace::Actor;
use crate::bucket::decorators::{FaultRates, RateLimit};
use crate::primitives::Round;
use crate::run::RoundParams;
use crate::sim::network::Outages;

/// A world to be played; equal scenarios go the same way, event by event.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// What all chance comes from.
    pub seed: u64,
    /// Peers that train.
    pub peers: u32,
    /// Validators, and how many of them must agree.
    pub validators: (u32, u32),
    /// Rounds after which the run is over.
    pub rounds: u32,
    /// How rounds are played.
    pub rules: RoundParams,
    /// The shortest and the longest time that a peer trains in a round.
    pub training: (Duration, Duration),
    /// How often everybody looks for news.
    pub poll: Duration,
    /// Peers start within this time.
    pub arrival: Duration,
    /// The share of deltas that are nonsense, from 0 to 1.
    pub nonsense: f64,
    /// What befalls each actor's requests.
    pub faults: FaultRates,
    /// The shortest and the longest time that a request takes.
    pub latency: (Duration, Duration),
    /// What each actor's line can carry.
    pub bandwidth: RateLimit,
    /// When each actor is cut off from the bucket.
    pub partitions: Outages,
    /// When each actor is killed, and for how long it is away.
    pub crashes: Outages,
    /// The share of crashes in which what was saved is lost, from 0 to 1.
    pub disk_losses: f64,
    /// The most that an actor's clock is ahead or behind.
    pub skew: Duration,
    /// The virtual time within which everybody must have reached the end.
    pub time_limit: Duration,
    /// Breaks of the protocol, to see that they are noticed or do no harm.
    pub sabotage: Vec<InjectedFailure>,
}

/// A break of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InjectedFailure {
    /// A peer leaves one delta out when it applies a round.
    ForgetsADelta {
        /// The peer's number.
        peer: u32,
        /// The first round in which it does.
        from: Round,
    },
    /// A validator never says a word.
    SilentValidator {
        /// The validator's number.
        validator: u32,
    },
    /// A validator tells of losses and weights that nobody else finds, and refuses what others tell.
    LyingValidator {
        /// The validator's number.
        validator: u32,
    },
}

impl Scenario {
    /// A world in which nothing goes wrong.
    pub fn calm(peers: u32, rounds: u32, seed: u64) -> Self {
        Self {
            seed,
            peers,
            validators: (1, 1),
            rounds,
            rules: RoundParams {
                max_delta: 1 << 10,
                min_peers: peers.clamp(1, 20),
                max_included: 20,
                deadline: Duration::from_secs(300),
                reveal: Duration::from_secs(70),
                takeover: Duration::from_secs(60),
                patience: 3,
                checkpoint_every: 5,
                keep_checkpoints: 2,
            },
            training: (Duration::from_secs(30), Duration::from_secs(60)),
            poll: Duration::from_secs(5),
            arrival: Duration::from_secs(60),
            nonsense: 0.0,
            faults: FaultRates::default(),
            latency: (Duration::from_millis(20), Duration::from_millis(200)),
            bandwidth: RateLimit::default(),
            partitions: Outages::NEVER,
            crashes: Outages::NEVER,
            disk_losses: 0.0,
            skew: Duration::ZERO,
            time_limit: Duration::from_secs(600) * rounds.saturating_add(2),
            sabotage: Vec::new(),
        }
    }

    /// Whether an actor tells something else than it finds.
    pub(crate) fn lies(&self, actor: Actor) -> bool {
        self.sabotage.iter().any(
            |sabotage| matches!(sabotage, InjectedFailure::LyingValidator { validator } if actor == Actor::Validator(*validator)),
        )
    }

    /// Whether an actor never begins.
    pub(crate) fn is_absent(&self, actor: Actor) -> bool {
        self.sabotage.iter().any(
            |sabotage| matches!(sabotage, InjectedFailure::SilentValidator { validator } if actor == Actor::Validator(*validator)),
        )
    }

    /// Four peers and three validators in a world in which everything goes wrong that can.
    pub fn stormy(seed: u64) -> Self {
        let calm = Self::calm(4, 20, seed);
        Self {
            validators: (3, 2),
            rules: RoundParams { min_peers: 1, max_included: 3, ..calm.rules },
            arrival: Duration::from_secs(900),
            nonsense: 0.05,
            faults: FaultRates::BAD_DAY,
            bandwidth: RateLimit {
                up: std::num::NonZeroU64::new(1000),
                down: std::num::NonZeroU64::new(10_000),
            },
            partitions: Outages {
                mean_between: Duration::from_secs(1200),
                longest: Duration::from_secs(300),
            },
            crashes: Outages {
                mean_between: Duration::from_secs(1200),
                longest: Duration::from_secs(600),
            },
            disk_losses: 0.3,
            skew: Duration::from_secs(120),
            time_limit: Duration::from_secs(3600) * 24,
            ..calm
        }
    }
}
