//! The evaluator of a validator: measurements are correct, and equal on every machine where they
//! must be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use covey::run::validator::DeltaEvaluator;
use covey::run::{Replica, assignment};
use covey::training::checkpoint::NamedTensor;
use covey::training::learner::Learner;
use covey_comms::agreement::draw::Seed;
use covey_comms::gauntlet::checks::Sketch;
use covey_comms::gauntlet::scoring::{Age, EvaluationRequest, Evaluator, Measurement};
use covey_comms::membership::Slot;
use covey_comms::objects::{Clipping, Divisor, Exclusion, OuterSettings};
use covey_comms::primitives::{Keypair, PeerId, Round, SystemClock};
use covey_data::dataset::Dataset;
use covey_data::sampling::Assignment;
use covey_model::config::{ModelConfig, ParameterSpec};
use covey_model::init::Initializer;
use covey_optim::sparseloco::Compressor;

use crate::world::{INNER_STEPS, World};

const OUTER: OuterSettings =
    OuterSettings { alpha: 1.0, mean_over: Divisor::Senders, clip: Clipping::MedianNorm };
const ROUND: Round = Round(3);
const SEED: Seed = Seed::from_bytes([7; 32]);

/// Peers that have trained from the same weights, each on the windows of its slot.
struct TrainedPeers {
    world: World,
    model: ModelConfig,
    assignment: Assignment,
    payloads: BTreeMap<PeerId, Bytes>,
}

impl TrainedPeers {
    fn new(peers: u8) -> Self {
        let world = World::new(Arc::new(SystemClock), 1, u32::from(peers));
        let world = world.adjusted(|config| config.optim.learning_rate = 1e-2);
        let config = world.config();
        let datasets = [Dataset::open(&config.data.sources[0].path).unwrap()];
        let vocab_size = datasets[0].tokenizer().unwrap().vocab_size();
        let model = config.model.shape.as_ref().unwrap().model_config(vocab_size).unwrap();
        let assignment = assignment(config, &datasets).unwrap();
        let mut trained = Self { world, model, assignment, payloads: BTreeMap::new() };
        trained.payloads =
            (0..peers).map(|number| (trained.peer(number), trained.train(number))).collect();
        trained
    }

    /// The peers in the order of their slots, which is the order of their IDs.
    fn peer(&self, number: u8) -> PeerId {
        let mut peers: Vec<PeerId> =
            (0..8).map(|key| Keypair::from_secret(&[key + 1; 32]).peer()).collect();
        peers.sort();
        peers[usize::from(number)]
    }

    fn learner(&self) -> Learner {
        Learner::open(&self.model, self.world.config(), |_, range| Ok(vec![0.0; range.len()]))
            .unwrap()
    }

    fn replica(&self) -> Replica {
        let initializer = Initializer::new(1, &self.model);
        let weights = self
            .model
            .parameters()
            .iter()
            .map(|spec: &ParameterSpec| NamedTensor {
                name: spec.name.clone(),
                shape: spec.shape.clone(),
                values: initializer.tensor(spec),
            })
            .collect();
        Replica::new(weights, &self.world.config().sparseloco()).unwrap()
    }

    /// Trains repeatedly on the windows of a slot, so the effect is large.
    fn train(&self, slot: u8) -> Bytes {
        let (replica, mut learner) = (self.replica(), self.learner());
        learner.set_weights(replica.weights().map(|tensor| tensor.values.as_slice())).unwrap();
        learner.set_step(100);
        for _ in 0..20 {
            let mut sampler = self.assignment.of(ROUND.0, u32::from(slot)).unwrap();
            for _ in 0..INNER_STEPS {
                let mut tokens = Vec::new();
                (0..self.world.config().train.batch_size)
                    .for_each(|_| sampler.draw(&mut tokens).unwrap());
                learner.step(&tokens, sampler.length()).unwrap();
            }
        }
        let mut compressor = Compressor::new(Arc::clone(replica.schema()), 0.95);
        let delta =
            learner.compress(&mut compressor, &replica.minus(&learner.named_weights())).unwrap();
        replica.codec().encode(&delta).unwrap().into()
    }

    /// An evaluator that has admitted all deltas.
    fn evaluation(&self) -> DeltaEvaluator {
        let mut evaluation =
            DeltaEvaluator::new(self.replica(), self.learner(), self.assignment.clone());
        for (peer, payload) in &self.payloads {
            evaluation.admit(Age::Current, *peer, payload).unwrap();
        }
        evaluation
    }

    fn measure(
        &self,
        evaluation: &mut DeltaEvaluator,
        windows: u32,
    ) -> BTreeMap<PeerId, Measurement> {
        let num_slots = self.payloads.len() as u32;
        let slots = self.payloads.keys().zip(0..);
        let slots = slots.map(|(peer, index)| (*peer, Slot { index, num_slots }));
        let (admitted, evaluated) = (self.payloads.keys().copied().collect(), slots.collect());
        let trial = EvaluationRequest {
            round: ROUND,
            seed: &SEED,
            outer: &OUTER,
            eval_rate: 0.5,
            windows,
            admitted: &admitted,
            evaluated: &evaluated,
        };
        evaluation.measure(&trial).unwrap()
    }
}

#[test]
fn a_delta_lowers_the_loss_most_on_the_windows_of_its_slot() {
    let trained = TrainedPeers::new(3);
    let measured = trained.measure(&mut trained.evaluation(), 12);
    assert_eq!(measured.len(), 3);
    for Measurement { own, random } in measured.values() {
        assert!(own.after < own.before && random.after < random.before, "{measured:?}");
        assert!(own.typical < own.before && random.typical < random.before, "{measured:?}");
        let gain = |losses: &covey_comms::gauntlet::scoring::ProbeLosses| {
            (losses.typical - losses.after) / losses.before
        };
        assert!(gain(own) > gain(random), "{measured:?}");
    }
    let first = measured.values().next().unwrap().random;
    assert!(
        measured
            .values()
            .all(|measured| measured.random.before.to_bits() == first.before.to_bits())
    );
}

#[test]
fn losses_nearly_agree_and_weights_agree_exactly_on_any_number_of_threads() {
    let trained = TrainedPeers::new(3);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut evaluation = trained.evaluation();
            let included = trained.payloads.keys().copied().collect();
            (
                trained.measure(&mut evaluation, 4),
                evaluation.weights_after(&included, &OUTER).unwrap(),
            )
        })
    };
    let ((one, weights), (other, other_weights)) = (on(1), on(3));
    assert_eq!(weights, other_weights);
    for (peer, one) in one {
        for (one, other) in [(one.own, other[&peer].own), (one.random, other[&peer].random)] {
            for (one, other) in
                [(one.before, other.before), (one.after, other.after), (one.typical, other.typical)]
            {
                assert!((one - other).abs() <= 1e-5 * one, "{one} and {other}");
            }
        }
    }
}

#[test]
fn measurements_are_independent() {
    let trained = TrainedPeers::new(2);
    let mut evaluation = trained.evaluation();
    let first = trained.measure(&mut evaluation, 4);
    evaluation.weights_after(&trained.payloads.keys().copied().collect(), &OUTER).unwrap();
    assert_eq!(trained.measure(&mut evaluation, 4), first);
}

#[test]
fn sketches_distinguish_copies_from_independent_deltas() {
    let trained = TrainedPeers::new(2);
    let (one, other) = (trained.peer(0), trained.peer(1));
    let mut evaluation = trained.evaluation();
    evaluation.admit(Age::Previous, other, &trained.payloads[&one]).unwrap();
    let sketch = |age, peer| evaluation.sketch(age, peer, &SEED).unwrap();
    let shared = |one: &Sketch, other: &Sketch| -> usize {
        let chunks = one.chunks().iter().zip(other.chunks());
        chunks.map(|(one, other)| one.iter().filter(|place| other.contains(place)).count()).sum()
    };
    let total: usize = sketch(Age::Current, one).chunks().iter().map(Vec::len).sum();
    assert_eq!(sketch(Age::Current, one), sketch(Age::Previous, other));
    assert!(shared(&sketch(Age::Current, one), &sketch(Age::Current, other)) < total);
    let chunks = evaluation
        .replica()
        .schema()
        .tensors()
        .iter()
        .map(|tensor| tensor.grid().num_chunks())
        .sum();
    assert_eq!(sketch(Age::Current, one).chunks().len(), Sketch::CHUNKS.min(chunks));
    assert_eq!(evaluation.sketch(Age::Previous, one, &SEED), None);
}

#[test]
fn invalid_payloads_are_excluded_and_never_measured() {
    let trained = TrainedPeers::new(2);
    let mut evaluation =
        DeltaEvaluator::new(trained.replica(), trained.learner(), trained.assignment.clone());
    let cut = trained.payloads[&trained.peer(0)].slice(..40);
    assert_eq!(evaluation.admit(Age::Current, trained.peer(0), &cut), Err(Exclusion::Malformed));
    let too_long = Bytes::from(vec![0; evaluation.replica().codec().max_len() + 1]);
    assert_eq!(
        evaluation.admit(Age::Current, trained.peer(0), &too_long),
        Err(Exclusion::TooLarge)
    );
    let included = BTreeSet::from([trained.peer(0)]);
    assert!(evaluation.weights_after(&included, &OUTER).is_err());
    let nobody = evaluation.weights_after(&BTreeSet::new(), &OUTER).unwrap();
    assert_eq!(nobody, evaluation.replica().digest());
}
