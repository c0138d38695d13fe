//! The settings of a contest, and its course.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, TryStreamExt};

use super::arena::{Arena, START, identity};
use super::attack::Attack;
use super::delta::{LENGTH, weights_to_bytes};
use super::peer::{ArenaPeer, Behaviour};
use super::record::ContestReport;
use super::regression::Regression;
use super::validator::ArenaValidator;
use crate::agreement::ValidatorSet;
use crate::bucket::stores::MemoryBucket;
use crate::gauntlet::GauntletConfig;
use crate::primitives::{Digest, Keypair, PeerId, RunId, VirtualClock};
use crate::run::{CommsError, Description, RoundParams, Run};

/// The settings of a contest.
#[derive(Clone, Debug, PartialEq)]
pub struct Contest {
    /// The seed of all randomness.
    pub seed: u64,
    /// The number of rounds, round 0 included.
    pub rounds: u32,
    /// The number of validators, and how many must agree.
    pub validators: (u32, u32),
    /// The number of honest peers. The first one leaks its deltas before the reveal.
    pub honest: u32,
    /// The number of further honest peers that are late in every fourth round.
    pub slow: u32,
    /// The dishonest peers that take part from the start.
    pub attackers: Vec<Attack>,
    /// The dishonest peers that join later, all at once.
    pub burst: Vec<Attack>,
    /// The time after which they join.
    pub burst_after: Duration,
    /// The Gauntlet constants.
    pub gauntlet: GauntletConfig,
}

/// The reason why a contest did not finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContestError {
    /// An actor met an error of the protocol.
    #[error("an actor met an error: {0}")]
    Comms(#[from] CommsError),
    /// All actors wait, and no timer is pending.
    #[error("no actor can continue")]
    Deadlock,
}

impl Contest {
    /// A contest of 50 scored rounds with seven honest peers, three validators and these attackers.
    pub fn with(attackers: Vec<Attack>, seed: u64) -> Self {
        Self {
            seed,
            rounds: 51,
            validators: (3, 2),
            honest: 7,
            slow: 0,
            attackers,
            burst: Vec::new(),
            // Late enough for honest peers to have ratings.
            burst_after: Duration::from_secs(1500),
            // A window here has 16 samples, so 64 give losses about as exact as real ones.
            gauntlet: GauntletConfig { eval_windows: 64, ..GauntletConfig::default() },
        }
    }

    /// Runs the contest to its end.
    ///
    /// # Errors
    /// [`ContestError`] if the protocol itself fails. A successful attack is not an error.
    pub fn play(&self) -> Result<ContestReport, ContestError> {
        let clock = VirtualClock::starting_at(START);
        let bucket = MemoryBucket::new(Arc::new(clock.clone()));
        let id = clock.run(self.create_run(&clock, &bucket)).ok_or(ContestError::Deadlock)??;
        let (rounds, max_delta) = (self.rounds, round_params().max_delta);
        let arena = Arena::new(self.seed, rounds, max_delta, clock, bucket, id);
        arena.clock.run(self.run_actors(&arena)).ok_or(ContestError::Deadlock)??;
        let (attackers, honest): (Vec<_>, Vec<_>) =
            self.peers().into_iter().partition(|(_, behaviour)| behaviour.attack.is_some());
        Ok(ContestReport {
            honest: honest.into_iter().map(|(identity, _)| identity.peer()).collect(),
            attackers: attackers.into_iter().map(|(identity, _)| identity.peer()).collect(),
            rounds: arena.into_rounds(),
        })
    }

    async fn run_actors(&self, arena: &Arena) -> Result<(), CommsError> {
        // The first validator records the rounds: all agree, and one record is enough.
        let validators = (0..self.validators.0).map(|number| {
            let identity = identity(self.seed, "validator", number);
            ArenaValidator::run(arena, identity, number == 0).boxed_local()
        });
        let peers = self.peers().into_iter().map(|(identity, behaviour)| {
            async move { ArenaPeer::join(arena, identity, behaviour).await?.run().await }
                .boxed_local()
        });
        validators.chain(peers).collect::<FuturesUnordered<_>>().try_collect().await
    }

    /// All peers of the contest with their behaviour, honest ones first.
    fn peers(&self) -> Vec<(Keypair, Behaviour)> {
        let honest =
            Behaviour { attack: None, arrival: Duration::ZERO, slow_every: None, leaks: false };
        let late = Behaviour { arrival: self.burst_after, ..honest };
        let mut peers = Vec::new();
        peers.extend((0..self.honest).map(|number| Behaviour { leaks: number == 0, ..honest }));
        peers.extend((0..self.slow).map(|_| Behaviour { slow_every: Some(4), ..honest }));
        peers.extend(self.attackers.iter().map(|one| Behaviour { attack: Some(*one), ..honest }));
        peers.extend(self.burst.iter().map(|one| Behaviour { attack: Some(*one), ..late }));
        // Keys by position: honest peers have the same keys, and so the same data, in a contest
        // without attackers.
        (0..)
            .zip(peers)
            .map(|(number, behaviour)| (identity(self.seed, "peer", number), behaviour))
            .collect()
    }

    /// The honest peers that are late in every fourth round.
    pub fn slow_peers(&self) -> Vec<PeerId> {
        self.peers()
            .into_iter()
            .filter(|(_, behaviour)| behaviour.slow_every.is_some())
            .map(|(identity, _)| identity.peer())
            .collect()
    }

    async fn create_run(
        &self,
        clock: &VirtualClock,
        bucket: &MemoryBucket,
    ) -> Result<RunId, CommsError> {
        let (count, threshold) = self.validators;
        let validators =
            (0..count).map(|number| identity(self.seed, "validator", number).peer()).collect();
        let description = Description {
            name: "contest".into(),
            validator_set: ValidatorSet::new(validators, threshold).ok_or(CommsError::NoRun)?,
            seed: self.seed,
            genesis_weights: Digest::of(&weights_to_bytes(&Regression::genesis())),
            parts: BTreeMap::new(),
            rules: round_params(),
            gauntlet: self.gauntlet.clone(),
        };
        let (bucket, clock) = (Arc::new(bucket.clone()), Arc::new(clock.clone()));
        Ok(Run::create(bucket, clock, &description, &BTreeMap::new()).await?.id())
    }
}

fn round_params() -> RoundParams {
    RoundParams {
        // Twice an honest delta: one attack sends a payload one byte above the limit.
        max_delta: 2 * LENGTH as u64,
        min_peers: 1,
        max_included: 20,
        deadline: Duration::from_secs(300),
        reveal: Duration::from_secs(70),
        takeover: Duration::from_secs(60),
        patience: 4,
        // No actor crashes or joins from a checkpoint here.
        checkpoint_every: 1000,
        keep_checkpoints: 1,
    }
}
