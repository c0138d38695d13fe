//! Several validators: a silent one costs time, and a dishonest one changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use covey::run::peer::RunEnd;
use covey::run::validator::DeltaEvaluator;
use covey_comms::agreement::draw::Seed;
use covey_comms::agreement::{Certificate, Vote};
use covey_comms::bucket::Bucket;
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::gauntlet::checks::Sketch;
use covey_comms::gauntlet::scoring::{
    Age, EvaluationRequest, Evaluator, EvaluatorError, Measurement,
};
use covey_comms::history::LightClient;
use covey_comms::objects::{Clipping, Divisor, Exclusion, Key, OuterSettings};
use covey_comms::participants::validator::Validator;
use covey_comms::primitives::{Digest, PeerId, Round, VirtualClock};
use futures_util::future::{join, join4};

use crate::same_bits::{ONE, TWO};
use crate::world::{VALIDATOR, World, identity};

const ROUNDS: u64 = 4;
const OUTER: OuterSettings =
    OuterSettings { alpha: 1.0, mean_over: Divisor::Senders, clip: Clipping::MedianNorm };
/// The validator that does not follow the protocol.
const ODD: u8 = VALIDATOR + 2;

/// Reports losses that are much too high.
struct DishonestValidator(DeltaEvaluator);

impl Evaluator for DishonestValidator {
    fn admit(&mut self, age: Age, peer: PeerId, payload: &Bytes) -> Result<(), Exclusion> {
        self.0.admit(age, peer, payload)
    }

    fn sketch(&self, age: Age, peer: PeerId, seed: &Seed) -> Option<Sketch> {
        self.0.sketch(age, peer, seed)
    }

    fn norm(&self, age: Age, peer: PeerId) -> Option<f64> {
        self.0.norm(age, peer)
    }

    fn measure(
        &mut self,
        trial: &EvaluationRequest<'_>,
    ) -> Result<BTreeMap<PeerId, Measurement>, EvaluatorError> {
        let mut measurements = self.0.measure(trial)?;
        measurements.values_mut().for_each(|measurement| measurement.random.after *= 2.0);
        Ok(measurements)
    }

    fn weights_after(
        &mut self,
        included: &BTreeSet<PeerId>,
        outer: &OuterSettings,
    ) -> Result<Digest, EvaluatorError> {
        self.0.weights_after(included, outer)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

fn world(clock: &VirtualClock) -> (World, Arc<dyn Bucket>) {
    let world = World::with_deadline(Arc::new(clock.clone()), ROUNDS, 2, Duration::from_secs(60))
        .with_validators(3, 2);
    let world = world.adjusted(|config| config.rounds.judging_timeout = 5.0);
    (world, Arc::new(MemoryBucket::new(Arc::new(clock.clone()))))
}

/// Runs both honest validators and both peers.
async fn play(world: &World, bucket: &Arc<dyn Bucket>) {
    let [one, two] = [ONE, TWO].map(|choice| world.peer(Arc::clone(bucket), choice));
    let [first, second] =
        [VALIDATOR, VALIDATOR + 1].map(|number| world.validate_as(Arc::clone(bucket), number));
    let ((), (), one, two) = join4(first, second, one, two).await;
    assert_eq!([one, two], [RunEnd::Finished; 2]);
}

fn check(world: &World) {
    world.assert_same_bits(&[1, 2]);
    let rounds = world.rounds_of(1);
    assert!(rounds.values().skip(1).all(|round| round.included == 2), "{rounds:?}");
}

async fn signers(bucket: &Arc<dyn Bucket>, round: u32) -> Vec<PeerId> {
    let object = bucket.get(&Key::Manifest(Round(round)), u64::MAX).await.unwrap();
    Certificate::parse(&object).unwrap().signatures().keys().copied().collect()
}

#[test]
fn a_silent_validator_only_delays_rounds() {
    let clock = VirtualClock::default();
    let (world, bucket) = world(&clock);
    let all = async {
        world.create(Arc::clone(&bucket)).await;
        play(&world, &bucket).await;
        for round in 0..=ROUNDS as u32 {
            let signers = signers(&bucket, round).await;
            assert!(
                signers.len() == 2 && !signers.contains(&identity(ODD).peer()),
                "round {round}"
            );
        }
    };
    clock.run(all).expect("every task waits");
    check(&world);
}

/// Runs a validator with a dishonest evaluator.
async fn validate_dishonestly(world: &World, bucket: &Arc<dyn Bucket>) {
    let (run, spec, evaluation) = world.validator_parts(Arc::clone(bucket), ODD).await;
    let mut validator = Validator::open(LightClient::genesis(run), identity(ODD)).await.unwrap();
    let (mut dishonest, every) = (DishonestValidator(evaluation), Duration::from_millis(20));
    while validator.light_client().outer_steps() < spec.outer_steps() {
        let closed = validator
            .close_round(OUTER, every, &mut dishonest, &AtomicBool::new(false))
            .await
            .unwrap()
            .unwrap();
        dishonest.0.apply(&closed.manifest, &closed.deltas).unwrap();
    }
}

#[test]
fn the_verdicts_of_a_dishonest_validator_are_rejected() {
    let clock = VirtualClock::default();
    let (world, bucket) = world(&clock);
    let all = async {
        world.create(Arc::clone(&bucket)).await;
        join(validate_dishonestly(&world, &bucket), play(&world, &bucket)).await;
        let (run, ..) = world.validator_parts(Arc::clone(&bucket), VALIDATOR).await;
        let (mut light_client, mut rejections) = (LightClient::genesis(run.clone()), Vec::new());
        while let Some(manifest) = light_client.poll().await.unwrap() {
            if manifest.round() > Round::FIRST {
                assert_ne!(manifest.basis().proposer, identity(ODD).peer(), "{}", manifest.round());
            }
            for (proposer, votes) in run.votes(manifest.round(), manifest.previous()).await.unwrap()
            {
                rejections.extend(votes.into_iter().filter_map(|(voter, vote)| match vote {
                    Vote::Refuses { reason } => Some((proposer, voter, reason)),
                    Vote::Agrees(_) => None,
                }));
            }
        }
        rejections
    };
    let rejections = clock.run(all).expect("every task waits");
    check(&world);
    let dishonest = identity(ODD).peer();
    assert!(
        rejections.iter().any(|(proposer, voter, _)| *proposer == dishonest && *voter != dishonest),
        "{rejections:?}"
    );
    assert!(
        rejections.iter().all(|(proposer, voter, _)| [*proposer, *voter].contains(&dishonest)),
        "{rejections:?}"
    );
    assert!(
        rejections.iter().all(|(.., reason)| reason.contains("inputs.measurements")),
        "{rejections:?}"
    );
}
