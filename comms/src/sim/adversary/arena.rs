//! Where a contest takes place, and its course.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, TryStreamExt};

use super::attack::Attack;
use super::delta::{LENGTH, ToyDelta, apply, weights_to_bytes};
use super::evaluator::ArenaEvaluator;
use super::peer::{ArenaPeer, Behaviour};
use super::record::{ContestReport, ContestRound};
use super::regression::{Regression, ToyWeights};
use crate::agreement::ValidatorSet;
use crate::bucket::stores::MemoryBucket;
use crate::gauntlet::GauntletConfig;
use crate::history::LightClient;
use crate::objects::{Clip, MeanOver, OuterSettings};
use crate::participants::validator::{Closed, Validator};
use crate::primitives::{
    Clock, Digest, Keypair, PeerId, Round, RunId, SeededRng, Timestamp, VirtualClock,
};
use crate::run::{CommsError, Description, RoundParams, Run};

/// How often everybody looks for news.
pub(crate) const POLL: Duration = Duration::from_secs(5);

const START: Timestamp = Timestamp::from_micros(1 << 50);
const OUTER: OuterSettings =
    OuterSettings { alpha: 1.0, mean_over: MeanOver::Senders, clip: Clip::MedianNorm };

/// Who takes part in a contest, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Contest {
    /// What all chance comes from.
    pub seed: u64,
    /// Rounds, round 0 included.
    pub rounds: u32,
    /// Validators, and how many of them must agree.
    pub validators: (u32, u32),
    /// Honest peers. The first of them cannot keep a secret.
    pub honest: u32,
    /// Honest peers that are too slow in every fourth round.
    pub slow: u32,
    /// Cheats that are there from the beginning.
    pub attackers: Vec<Attack>,
    /// Cheats that come all at once, later.
    pub burst: Vec<Attack>,
    /// When they come.
    pub burst_after: Duration,
    /// How deltas are judged.
    pub gauntlet: GauntletConfig,
}

/// A contest that did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContestError {
    /// Somebody met an error.
    #[error("somebody met an error: {0}")]
    Died(#[from] CommsError),
    /// Somebody waits for something that will never happen.
    #[error("nothing goes on")]
    Stuck,
}

/// What all actors share.
pub(crate) struct Arena {
    contest: Contest,
    clock: VirtualClock,
    bucket: MemoryBucket,
    id: RunId,
    problem: Regression,
    gossip: Mutex<ColludersPlan>,
}

/// What is known behind the scenes.
#[derive(Default)]
struct ColludersPlan {
    leaks: BTreeMap<Round, ToyDelta>,
    loot: BTreeMap<Round, ToyDelta>,
    rounds: Vec<ContestRound>,
}

impl Contest {
    /// Seven honest peers, three validators, and some cheats, for 50 rounds.
    pub fn with(attackers: Vec<Attack>, seed: u64) -> Self {
        Self {
            seed,
            rounds: 51,
            validators: (3, 2),
            honest: 7,
            slow: 0,
            attackers,
            burst: Vec::new(),
            burst_after: Duration::from_secs(1500),
            gauntlet: GauntletConfig { windows: 64, ..GauntletConfig::default() },
        }
    }

    /// Plays it to its end.
    ///
    /// # Errors
    /// [`ContestError`], if the protocol itself fails.
    pub fn play(&self) -> Result<ContestReport, ContestError> {
        let clock = VirtualClock::starting_at(START);
        let bucket = MemoryBucket::new(Arc::new(clock.clone()));
        let id = clock.run(self.found(&clock, &bucket)).ok_or(ContestError::Stuck)??;
        let problem = Regression::new(self.seed);
        let stage =
            Arena { contest: self.clone(), clock, bucket, id, problem, gossip: Mutex::default() };
        stage.clock.run(stage.play()).ok_or(ContestError::Stuck)??;
        let names = |characters: Vec<(Keypair, Behaviour)>, is_attacker: bool| {
            let chosen = characters
                .into_iter()
                .filter(|(_, character)| character.attack.is_some() == is_attacker);
            chosen.map(|(identity, _)| identity.peer()).collect()
        };
        let rounds = stage.gossip.into_inner().unwrap_or_else(PoisonError::into_inner).rounds;
        Ok(ContestReport {
            honest: names(self.cast(), false),
            attackers: names(self.cast(), true),
            rounds,
        })
    }

    /// All peers of the contest, honest ones first.
    fn cast(&self) -> Vec<(Keypair, Behaviour)> {
        let honest =
            Behaviour { attack: None, arrival: Duration::ZERO, slow_every: None, leaks: false };
        let of_honest = (0..self.honest).map(|number| Behaviour { leaks: number == 0, ..honest });
        let of_slow = (0..self.slow).map(|_| Behaviour { slow_every: Some(4), ..honest });
        let of_attackers =
            self.attackers.iter().map(|attack| Behaviour { attack: Some(*attack), ..honest });
        let late = Behaviour { arrival: self.burst_after, ..honest };
        let of_burst = self.burst.iter().map(|attack| Behaviour { attack: Some(*attack), ..late });
        let all = of_honest.chain(of_slow).chain(of_attackers).chain(of_burst);
        all.zip(0..)
            .map(|(character, number)| (identity(self.seed, "peer", number), character))
            .collect()
    }

    /// The honest peers that are sometimes too slow.
    pub fn slow_peers(&self) -> Vec<PeerId> {
        let slow = self.cast().into_iter().filter(|(_, character)| character.slow_every.is_some());
        slow.map(|(identity, _)| identity.peer()).collect()
    }

    async fn found(
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
            rules: self.rules(),
            gauntlet: self.gauntlet.clone(),
        };
        let (bucket, clock) = (Arc::new(bucket.clone()), Arc::new(clock.clone()));
        Ok(Run::found(bucket, clock, &description, &BTreeMap::new()).await?.id())
    }

    fn rules(&self) -> RoundParams {
        RoundParams {
            max_delta: 2 * LENGTH as u64,
            min_peers: 1,
            max_included: 20,
            deadline: Duration::from_secs(300),
            reveal: Duration::from_secs(70),
            takeover: Duration::from_secs(60),
            patience: 4,
            checkpoint_every: 1000,
            keep_checkpoints: 1,
        }
    }
}

/// Who somebody is.
fn identity(seed: u64, role: &str, number: u32) -> Keypair {
    let mut dice = SeededRng::named(seed, role, number.into());
    let mut secret = [0; 32];
    secret.chunks_exact_mut(8).for_each(|bytes| bytes.copy_from_slice(&dice.bits().to_le_bytes()));
    Keypair::from_secret(&secret)
}

impl Arena {
    async fn play(&self) -> Result<(), CommsError> {
        let validators =
            (0..self.contest.validators.0).map(|number| self.validate(number).boxed_local());
        let peers =
            self.contest.cast().into_iter().map(|(identity, character)| -> LocalBoxFuture<'_, _> {
                async move { ArenaPeer::enter(self, identity, character).await?.live().await }
                    .boxed_local()
            });
        validators.chain(peers).collect::<FuturesUnordered<_>>().try_collect().await
    }

    /// The life of a validator; the first one keeps the record.
    async fn validate(&self, number: u32) -> Result<(), CommsError> {
        let identity = identity(self.contest.seed, "validator", number);
        let light_client = LightClient::genesis(self.open().await?);
        let mut validator = Validator::open(light_client, identity).await?;
        let (interrupt, mut weights) = (AtomicBool::new(false), Regression::genesis());
        while !self.is_over(validator.light_client().next()) {
            let mut scales =
                ArenaEvaluator { problem: &self.problem, weights, deltas: BTreeMap::new() };
            let closed = validator.close_round(OUTER, POLL, &mut scales, &interrupt).await?;
            let Some(closed) = closed else { return Ok(()) };
            weights = scales.weights;
            self.follow(&mut weights, &closed);
            if number == 0 && closed.manifest.round() > Round::FIRST {
                self.record(&closed, &weights);
            }
        }
        Ok(())
    }

    fn follow(&self, weights: &mut ToyWeights, closed: &Closed) {
        let parsed = closed
            .deltas
            .iter()
            .filter_map(|(peer, payload)| Some((*peer, ToyDelta::parse(payload).ok()?)));
        apply(weights, &parsed.collect(), OUTER.alpha);
    }

    fn record(&self, closed: &Closed, weights: &[f64]) {
        let verdict = &closed.verdict;
        let loss = self.problem.held_out(weights);
        let round = ContestRound::of(&verdict.outcome, verdict.inputs.measurements.len(), loss);
        self.gossip().rounds.push(round);
    }

    fn gossip(&self) -> std::sync::MutexGuard<'_, ColludersPlan> {
        self.gossip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn open(&self) -> Result<Run, CommsError> {
        Run::open(Arc::new(self.bucket.clone()), Arc::new(self.clock.clone()), Some(self.id)).await
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.clock.sleep_until(self.clock.now() + duration).await;
    }

    pub(crate) fn seed(&self) -> u64 {
        self.contest.seed
    }

    pub(crate) fn problem(&self) -> &Regression {
        &self.problem
    }

    pub(crate) fn max_delta(&self) -> u64 {
        self.contest.rules().max_delta
    }

    pub(crate) fn is_over(&self, next: Round) -> bool {
        next.0 >= self.contest.rounds
    }

    /// Lets cheats see a delta that is not revealed yet.
    pub(crate) fn leak(&self, round: Round, delta: ToyDelta) {
        self.gossip().leaks.insert(round, delta);
    }

    /// The delta that leaks in a round; nothing, if that takes too long.
    pub(crate) async fn wait_for_leak(&self, round: Round) -> Option<ToyDelta> {
        for _ in 0..30 {
            if let Some(delta) = self.gossip().leaks.get(&round).cloned() {
                return Some(delta);
            }
            self.sleep(Duration::from_secs(1)).await;
        }
        None
    }

    /// What a gang has learned in a round.
    pub(crate) fn loot(&self, round: Round) -> Option<ToyDelta> {
        self.gossip().loot.get(&round).cloned()
    }

    /// Lets a gang have what one of it has learned.
    pub(crate) fn share_loot(&self, round: Round, delta: ToyDelta) {
        self.gossip().loot.insert(round, delta);
    }
}
