//! The course of a simulation: all actors from start to end, with their crashes.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, TryStreamExt};

use super::actors::{ActorContext, ToyModel, identity, peer, validator};
use super::failure::{FailureKind, Interruption, SimulationFailure};
use super::scenario::Scenario;
use super::trace::{Actor, Event, Trace};
use super::world::{NEVER, Records, START, World};
use crate::agreement::ValidatorSet;
use crate::bucket::stores::MemoryBucket;
use crate::gauntlet::GauntletConfig;
use crate::primitives::{Clock, Round, RunId, SeededRng, Timestamp, VirtualClock, within};
use crate::run::{CommsError, Description, Run};

/// The time after which an actor restarts that stopped with an error.
// Like a supervisor that backs off: a store with an outage gets a few attempts a minute.
const RESTART_PAUSE: Duration = Duration::from_secs(10);

/// The result of a simulation without a broken law.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Virtual time from start to end.
    pub elapsed: Duration,
    /// The number of crashes.
    pub crashes: usize,
    /// The number of restarts after an error.
    pub restarts: usize,
    /// The number of delivered deltas.
    pub delivered: usize,
    /// The number of rounds.
    pub rounds: usize,
    /// The distance of the last weights from the optimum.
    pub distance: f32,
    /// All events.
    pub trace: Trace,
}

/// Simulates a scenario.
///
/// # Errors
/// [`SimulationFailure`] with the first broken law.
pub fn run(scenario: &Scenario) -> Result<Report, SimulationFailure> {
    let clock = VirtualClock::starting_at(START);
    let bucket = MemoryBucket::new(Arc::new(clock.clone()));
    let created =
        clock.run(create_run(scenario, &clock, &bucket)).unwrap_or(Err(CommsError::NoRun));
    let id = created.map_err(|source| {
        let problem = FailureKind::FatalError { actor: Actor::Validator(0), source };
        failure(scenario, problem, Trace::starting_at(START))
    })?;
    let world = World::new(scenario.clone(), clock, bucket, id);
    let outcome = world.clock.run(within(&world.clock, scenario.time_limit, run_actors(&world)));
    let elapsed = world.clock.now().since(START);
    let records = world.into_records();
    let reached = records.weights.keys().next_back().copied().unwrap_or(Round::FIRST);
    let problem = match outcome {
        Some(Some(Ok(()))) => return Ok(report(records, elapsed)),
        Some(Some(Err(problem))) => problem,
        Some(None) => FailureKind::TooSlow { reached },
        None => FailureKind::Deadlock,
    };
    Err(failure(scenario, problem, records.trace))
}

fn failure(scenario: &Scenario, problem: FailureKind, trace: Trace) -> SimulationFailure {
    SimulationFailure { problem: problem.into(), scenario: Box::new(scenario.clone()), trace }
}

fn report(Records { trace, weights, distance }: Records, elapsed: Duration) -> Report {
    Report {
        elapsed,
        crashes: trace.count(|event| matches!(event, Event::Crashed { .. })),
        restarts: trace.count(|event| matches!(event, Event::Restarted(_))),
        delivered: trace.count(|event| matches!(event, Event::Delivered(_))),
        rounds: weights.len(),
        distance,
        trace,
    }
}

/// Writes the run description, over a bucket without faults: a run that cannot be created shows
/// nothing about the protocol.
async fn create_run(
    scenario: &Scenario,
    clock: &VirtualClock,
    bucket: &MemoryBucket,
) -> Result<RunId, CommsError> {
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
        rules: scenario.round_params,
        gauntlet: GauntletConfig::default(),
    };
    let (bucket, clock) = (Arc::new(bucket.clone()), Arc::new(clock.clone()));
    Ok(Run::create(bucket, clock, &description, &BTreeMap::new()).await?.id())
}

/// Runs all actors to the end of the run.
async fn run_actors(world: &World) -> Result<(), FailureKind> {
    let validators = (0..world.scenario.validators.0).map(Actor::Validator);
    let actors = validators
        .filter(|actor| !world.scenario.is_silent(*actor))
        .chain((0..world.scenario.peers).map(Actor::Peer));
    // Unordered: it polls only the actors that were woken, and 1,000 of them sleep most of the
    // time.
    let running: FuturesUnordered<_> =
        actors.map(|actor| run_actor(world, ActorContext::new(world, actor))).collect();
    running.try_collect().await
}

/// Runs one actor through all its crashes and restarts.
async fn run_actor(world: &World, mut context: ActorContext) -> Result<(), FailureKind> {
    let actor = context.actor;
    // Validators start at once: without them, no peer gets a slot.
    if let Actor::Peer(_) = actor {
        let delay = world.scenario.arrival.mul_f64(context.rng.fraction());
        context.sleep(delay).await;
    }
    // A separate stream: the times of crashes must not depend on what the actor does in between.
    let rng = SeededRng::new(context.rng.bits());
    let mut crashes = world.scenario.crashes.after(world.clock.now(), rng);
    let mut crash = crashes.next();
    loop {
        let (begin, end) = crash.unwrap_or((NEVER, NEVER));
        world.record(actor, Event::Started);
        match run_until(world, &mut context, begin).await {
            Some(Ok(())) => {
                world.record(actor, Event::Finished);
                return Ok(());
            }
            Some(Err(interruption)) => restart(world, &mut context, interruption).await?,
            None => {
                let loses_disk = context.rng.fraction() < world.scenario.disk_loss_share;
                context.saved.take_if(|_| loses_disk);
                world.record(actor, Event::Crashed { loses_disk });
                world.clock.sleep_until(end).await;
                crash = crashes.next();
            }
        }
    }
}

/// Runs an actor until it stops, or returns `None` at `crash`: its future is then dropped at an
/// arbitrary `.await`, as a killed process stops at an arbitrary instruction.
async fn run_until(
    world: &World,
    context: &mut ActorContext,
    crash: Timestamp,
) -> Option<Result<(), Interruption>> {
    let running = async {
        match context.actor {
            Actor::Validator(_) => validator::run(world, context).await,
            Actor::Peer(_) => peer::run(world, context).await,
        }
    };
    match select(pin!(running), world.clock.sleep_until(crash)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

/// Pauses after an error that may pass; any other error ends the simulation.
async fn restart(
    world: &World,
    context: &mut ActorContext,
    interruption: Interruption,
) -> Result<(), FailureKind> {
    let error = match interruption {
        Interruption::Law(problem) => return Err(*problem),
        Interruption::Comms(error) => error,
    };
    // Deltas older than the kept checkpoints are removed. An actor that was down for longer cannot
    // continue from its own state and starts from a checkpoint.
    if matches!(error, CommsError::DeltaGone { .. }) {
        context.saved = None;
    } else if !error.is_passing() {
        return Err(FailureKind::FatalError { actor: context.actor, source: error });
    }
    world.record(context.actor, Event::Restarted(error.to_string()));
    context.sleep(RESTART_PAUSE).await;
    Ok(())
}
