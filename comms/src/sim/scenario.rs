//! The settings of a simulation.

use std::time::Duration;

use super::trace::Actor;
use crate::bucket::decorators::{FaultRates, RateLimit};
use crate::primitives::Round;
use crate::run::RoundParams;
use crate::sim::network::Outages;

/// The settings of a simulation. Equal scenarios lead to equal traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The seed of all randomness.
    pub seed: u64,
    /// The number of peers.
    pub peers: u32,
    /// The number of validators, and how many must agree.
    pub validators: (u32, u32),
    /// The number of rounds after which the run ends.
    pub rounds: u32,
    /// The round parameters.
    pub round_params: RoundParams,
    /// The shortest and the longest training time of a peer per round.
    pub training_time: (Duration, Duration),
    /// The pause between two polls of the bucket.
    pub poll: Duration,
    /// The time within which peers start.
    pub arrival: Duration,
    /// The share of malformed deltas, from 0 to 1.
    pub malformed_share: f64,
    /// The faults of each actor's requests.
    pub faults: FaultRates,
    /// The shortest and the longest time of a request.
    pub latency: (Duration, Duration),
    /// The rate limit of each actor's link.
    pub bandwidth: RateLimit,
    /// The times when an actor cannot reach the bucket.
    pub partitions: Outages,
    /// The times when an actor is down after a crash.
    pub crashes: Outages,
    /// The share of crashes that lose the saved state, from 0 to 1.
    pub disk_loss_share: f64,
    /// The largest difference of an actor's clock from the true time, in either direction.
    pub max_clock_skew: Duration,
    /// The virtual time within which all actors must finish.
    pub time_limit: Duration,
    /// Violations of the protocol: each must be detected, or do no harm.
    pub injected_failures: Vec<InjectedFailure>,
}

/// A violation of the protocol by one actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InjectedFailure {
    /// A peer leaves out one delta when it applies a round.
    OmitsDelta {
        /// The number of the peer.
        peer: u32,
        /// The first round with the violation.
        from: Round,
    },
    /// A validator never starts.
    SilentValidator {
        /// The number of the validator.
        validator: u32,
    },
    /// A validator publishes losses that no other validator measures, and votes against the
    /// verdicts of the others.
    DishonestValidator {
        /// The number of the validator.
        validator: u32,
    },
}

impl Scenario {
    /// A scenario without faults.
    pub fn calm(peers: u32, rounds: u32, seed: u64) -> Self {
        Self {
            seed,
            peers,
            validators: (1, 1),
            rounds,
            round_params: calm_round_params(peers),
            training_time: (Duration::from_secs(30), Duration::from_secs(60)),
            poll: Duration::from_secs(5),
            arrival: Duration::from_secs(60),
            malformed_share: 0.0,
            faults: FaultRates::default(),
            latency: (Duration::from_millis(20), Duration::from_millis(200)),
            bandwidth: RateLimit::default(),
            partitions: Outages::NEVER,
            crashes: Outages::NEVER,
            disk_loss_share: 0.0,
            max_clock_skew: Duration::ZERO,
            // Commitments close after at most 300 s; twice that leaves room for reveals and
            // verdicts. Two rounds more for the start and the end.
            time_limit: Duration::from_secs(600) * rounds.saturating_add(2),
            injected_failures: Vec::new(),
        }
    }

    /// Four peers and three validators with all faults of a bad day at once.
    pub fn stormy(seed: u64) -> Self {
        let calm = Self::calm(4, 20, seed);
        // Every 20 minutes on average: about one outage of each kind per actor in three rounds.
        let mean_between = Duration::from_secs(1200);
        Self {
            validators: (3, 2),
            round_params: RoundParams { min_peers: 1, max_included: 3, ..calm.round_params },
            arrival: Duration::from_secs(900),
            malformed_share: 0.05,
            faults: FaultRates::BAD_DAY,
            // Bytes per second. Low enough that uploads of a kilobyte take longer than a request.
            bandwidth: RateLimit {
                up: std::num::NonZeroU64::new(1000),
                down: std::num::NonZeroU64::new(10_000),
            },
            partitions: Outages { mean_between, longest: Duration::from_secs(300) },
            crashes: Outages { mean_between, longest: Duration::from_secs(600) },
            disk_loss_share: 0.3,
            max_clock_skew: Duration::from_secs(120),
            time_limit: Duration::from_secs(3600) * 24,
            ..calm
        }
    }

    /// Returns true if `actor` publishes other losses than it measures.
    pub(crate) fn is_dishonest(&self, actor: Actor) -> bool {
        self.injected_failures.iter().any(|failure| match failure {
            InjectedFailure::DishonestValidator { validator } => {
                actor == Actor::Validator(*validator)
            }
            _ => false,
        })
    }

    /// Returns true if `actor` never starts.
    pub(crate) fn is_silent(&self, actor: Actor) -> bool {
        self.injected_failures.iter().any(|failure| match failure {
            InjectedFailure::SilentValidator { validator } => actor == Actor::Validator(*validator),
            _ => false,
        })
    }

    /// Returns true if `actor` leaves out a delta when it applies `round`.
    pub(crate) fn omits_delta(&self, actor: Actor, round: Round) -> bool {
        self.injected_failures.iter().any(|failure| match failure {
            InjectedFailure::OmitsDelta { peer, from } => {
                actor == Actor::Peer(*peer) && round >= *from
            }
            _ => false,
        })
    }
}

fn calm_round_params(peers: u32) -> RoundParams {
    RoundParams {
        max_delta: 1 << 10,
        // Without faults, every peer can be required in every round.
        min_peers: peers.clamp(1, 20),
        max_included: 20,
        deadline: Duration::from_secs(300),
        reveal: Duration::from_secs(70),
        takeover: Duration::from_secs(60),
        patience: 3,
        checkpoint_every: 5,
        keep_checkpoints: 2,
    }
}
