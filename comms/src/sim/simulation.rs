//! The world of a simulation and its course.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, TryStreamExt};

use super::failure::{Failure, FailureKind};
use super::scenario::Scenario;
use super::trace::{Actor, Event, Trace};
use crate::agreement::ValidatorSet;
use crate::bucket::stores::MemoryBucket;
use crate::gauntlet::GauntletConfig;
use crate::objects::Lineage;
use crate::primitives::{Clock, Digest, Round, RunId, SeededRng, Timestamp, VirtualClock, within};
use crate::run::{CommsError, Description, Run};
use crate::sim::actors::{ActorContext, Interruption, ToyModel, identity, peer, validator};

/// When simulations begin: late enough for clocks that are behind.
const START: Timestamp = Timestamp::from_micros(1 << 50);

/// How long an actor stays down that gave up by itself.
const PAUSE: Duration = Duration::from_secs(10);

/// What everybody shares, and what watches over them.
#[derive(Debug)]
pub(crate) struct Simulation {
    pub(crate) scenario: Scenario,
    pub(crate) clock: VirtualClock,
    pub(crate) bucket: MemoryBucket,
    pub(crate) id: RunId,
    records: Mutex<Records>,
}

/// What was seen so far.
#[derive(Debug)]
struct Records {
    trace: Trace,
    /// The weights at the start of each round, by whoever had them first.
    weights: BTreeMap<Round, (Actor, (Lineage, Digest))>,
    /// How far the newest of them are from the best.
    distance: f32,
}

/// How a simulation went in which all laws held.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Virtual time from beginning to end.
    pub elapsed: Duration,
    /// How often somebody crashed.
    pub crashes: usize,
    /// How often somebody gave up and started again by itself.
    pub stumbles: usize,
    /// How many deltas were delivered.
    pub delivered: usize,
    /// How many rounds were played.
    pub rounds: usize,
    /// How far the last weights are from the best ones.
    pub distance: f32,
    /// What happened.
    pub trace: Trace,
}

/// Plays a scenario to its end.
///
/// # Errors
/// [`Failure`] with the first law that was broken.
pub fn run(scenario: &Scenario) -> Result<Report, Failure> {
    let clock = VirtualClock::starting_at(START);
    let bucket = MemoryBucket::new(Arc::new(clock.clone()));
    let failed = |problem: FailureKind, trace| Failure {
        problem: problem.into(),
        scenario: Box::new(scenario.clone()),
        trace,
    };
    let created = clock.run(found(scenario, &clock, &bucket)).unwrap_or(Err(CommsError::NoRun));
    let creator = Actor::Validator(0);
    let id = created
        .map_err(|source| {
            failed(FailureKind::Died { actor: creator, source }, Trace::starting_at(START))
        })?
        .id();
    let records =
        Records { trace: Trace::starting_at(START), weights: BTreeMap::new(), distance: f32::MAX };
    let world =
        Simulation { scenario: scenario.clone(), clock, bucket, id, records: Mutex::new(records) };
    let outcome = world.clock.run(within(&world.clock, scenario.time_limit, world.play()));
    let elapsed = world.clock.now().since(START);
    let Records { trace, weights, distance } =
        world.records.into_inner().unwrap_or_else(PoisonError::into_inner);
    let reached = weights.keys().next_back().copied().unwrap_or(Round::FIRST);
    match outcome {
        Some(Some(Ok(()))) => Ok(Report {
            elapsed,
            crashes: trace.count(|event| matches!(event, Event::Crashed(_))),
            stumbles: trace.count(|event| matches!(event, Event::Stumbled(_))),
            delivered: trace.count(|event| matches!(event, Event::Delivered(_))),
            rounds: weights.len(),
            distance,
            trace,
        }),
        Some(Some(Err(problem))) => Err(failed(problem, trace)),
        Some(None) => Err(failed(FailureKind::TooSlow { reached }, trace)),
        None => Err(failed(FailureKind::Stuck, trace)),
    }
}

async fn found(
    scenario: &Scenario,
    clock: &VirtualClock,
    bucket: &MemoryBucket,
) -> Result<Run, CommsError> {
    let (validators, threshold) = scenario.validators;
    let validators = (0..validators)
        .map(|number| identity(scenario.seed, Actor::Validator(number)).peer())
        .collect();
    let validator_set = ValidatorSet::new(validators, threshold).ok_or(CommsError::NoRun)?;
    let description = Description {
        name: "simulation".into(),
        validator_set,
        seed: scenario.seed,
        genesis_weights: ToyModel::genesis().digest(),
        parts: BTreeMap::new(),
        rules: scenario.rules,
        gauntlet: GauntletConfig::default(),
    };
    Run::found(Arc::new(bucket.clone()), Arc::new(clock.clone()), &description, &BTreeMap::new())
        .await
}

impl Simulation {
    /// Everybody's whole course; only those who are woken are looked at.
    async fn play(&self) -> Result<(), FailureKind> {
        let validators = (0..self.scenario.validators.0).map(Actor::Validator);
        let actors = validators
            .filter(|actor| !self.scenario.is_absent(*actor))
            .chain((0..self.scenario.peers).map(Actor::Peer));
        let courses: FuturesUnordered<_> =
            actors.map(|actor| self.inhabit(ActorContext::new(self, actor))).collect();
        courses.try_collect().await
    }

    /// All lives of one actor.
    async fn inhabit(&self, mut home: ActorContext) -> Result<(), FailureKind> {
        let actor = home.actor;
        if let Actor::Peer(_) = actor {
            let delay = self.scenario.arrival.mul_f64(home.dice.fraction());
            home.sleep(delay).await;
        }
        let dice = SeededRng::new(home.dice.bits());
        let mut crashes = self.scenario.crashes.after(self.clock.now(), dice);
        let mut crash = crashes.next();
        loop {
            self.note(actor, Event::Started);
            let begin = crash.map_or(Timestamp::from_micros(u64::MAX >> 1), |(begin, _)| begin);
            let life = async {
                match actor {
                    Actor::Validator(_) => validator::live(self, &mut home).await,
                    Actor::Peer(_) => peer::live(self, &mut home).await,
                }
            };
            let ending = match select(pin!(life), self.clock.sleep_until(begin)).await {
                Either::Left((ending, _)) => Some(ending),
                Either::Right(_) => None,
            };
            match ending {
                Some(Ok(())) => {
                    self.note(actor, Event::Finished);
                    return Ok(());
                }
                Some(Err(interruption)) => self.stumble(&mut home, interruption).await?,
                None => {
                    let loses_disk = home.dice.fraction() < self.scenario.disk_losses;
                    home.saved.take_if(|_| loses_disk);
                    self.note(actor, Event::Crashed(loses_disk));
                    self.clock.sleep_until(crash.map_or(begin, |(_, end)| end)).await;
                    crash = crashes.next();
                }
            }
        }
    }

    /// Stays down for a while after an error that may pass.
    async fn stumble(
        &self,
        home: &mut ActorContext,
        interruption: Interruption,
    ) -> Result<(), FailureKind> {
        let error = match interruption {
            Interruption::FailureKind(problem) => return Err(*problem),
            Interruption::Comms(error) => error,
        };
        if matches!(error, CommsError::DeltaGone { .. }) {
            home.saved = None;
        } else if !error.is_passing() {
            return Err(FailureKind::Died { actor: home.actor, source: error });
        }
        self.note(home.actor, Event::Stumbled(error.to_string()));
        home.sleep(PAUSE).await;
        Ok(())
    }

    /// Writes down what happened.
    pub(crate) fn note(&self, actor: Actor, event: Event) {
        let now = self.clock.now();
        self.records.lock().unwrap_or_else(PoisonError::into_inner).trace.push(now, actor, event);
    }

    /// Holds an actor's weights at the start of `round` to what others had.
    pub(crate) fn witness(
        &self,
        actor: Actor,
        round: Round,
        lineage: Lineage,
        model: &ToyModel,
    ) -> Result<(), Interruption> {
        let got = (lineage, model.digest());
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if !records.weights.contains_key(&round) {
            records.distance = model.distance();
        }
        let (first, expected) = *records.weights.entry(round).or_insert((actor, got));
        match expected == got {
            true => Ok(()),
            false => {
                Err(FailureKind::Diverged { round, first, expected, second: actor, got }.into())
            }
        }
    }
}
