//! A run in memory with its peers and validators, the fixture of these tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use covey_comms::agreement::ValidatorSet;
use covey_comms::agreement::draw::Seed;
use covey_comms::bucket::Bucket;
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::gauntlet::GauntletConfig;
use covey_comms::gauntlet::checks::Sketch;
use covey_comms::gauntlet::scoring::{
    Age, EvaluationRequest, Evaluator, EvaluatorError, Measurement, ProbeLosses,
};
use covey_comms::history::LightClient;
use covey_comms::objects::{Clipping, DeltaRef, Divisor, Exclusion, Manifest, OuterSettings};
use covey_comms::participants::validator::{Closed, Validator};
use covey_comms::participants::{PeerClient, Published};
use covey_comms::primitives::{Clock, Digest, Keypair, PeerId, Timestamp, VirtualClock};
use covey_comms::run::{Description, RoundParams, Run};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const OUTER: OuterSettings =
    OuterSettings { alpha: 1.0, mean_over: Divisor::Senders, clip: Clipping::Off };
pub(crate) const RULES: RoundParams = RoundParams {
    max_delta: 100,
    min_peers: 2,
    max_included: 10,
    deadline: Duration::from_secs(60),
    reveal: Duration::from_secs(20),
    takeover: Duration::from_secs(30),
    patience: 2,
    checkpoint_every: 2,
    keep_checkpoints: 2,
};

pub(crate) struct Cluster {
    pub(crate) clock: VirtualClock,
    pub(crate) bucket: MemoryBucket,
    pub(crate) run: Run,
}

/// The key pair of the validator.
pub(crate) fn creator_key() -> Keypair {
    Keypair::from_secret(&[99; 32])
}

pub(crate) fn identity(number: u8) -> Keypair {
    Keypair::from_secret(&[number; 32])
}

pub(crate) fn peer(number: u8) -> PeerId {
    identity(number).peer()
}

pub(crate) fn description(rules: RoundParams) -> Description {
    Description {
        name: "cluster".into(),
        validator_set: ValidatorSet::single(creator_key().peer()),
        seed: 7,
        genesis_weights: Digest::of(b"weights"),
        parts: [("config".to_string(), Digest::of(b"a config"))].into(),
        rules,
        gauntlet: GauntletConfig::default(),
    }
}

pub(crate) fn parts() -> BTreeMap<String, Bytes> {
    [("config".to_string(), Bytes::from_static(b"a config"))].into()
}

impl Cluster {
    /// A new run.
    pub(crate) fn new(rules: RoundParams) -> Self {
        Self::create(&description(rules))
    }

    /// A new run with this description.
    pub(crate) fn create(description: &Description) -> Self {
        let clock = VirtualClock::default();
        let bucket = MemoryBucket::new(Arc::new(clock.clone()));
        let shared = (Arc::new(bucket.clone()), Arc::new(clock.clone()));
        let run =
            clock.run(Run::create(shared.0, shared.1, description, &parts())).unwrap().unwrap();
        Self { clock, bucket, run }
    }

    /// A run with some active peers, its validator, and round 1 open.
    pub(crate) fn with_peers(rules: RoundParams, numbers: &[u8]) -> (Self, Validator) {
        let cluster = Self::new(rules);
        numbers
            .iter()
            .for_each(|number| cluster.play(cluster.client(*number).join_request()).unwrap());
        let mut validator = cluster.validator();
        let manifest = cluster.close(&mut validator).manifest;
        assert_eq!(manifest.excluded().len(), numbers.len());
        (cluster, validator)
    }

    /// The run through another bucket with the same objects.
    pub(crate) fn through(&self, bucket: impl Bucket + 'static) -> Run {
        self.play(Run::open(Arc::new(bucket), Arc::new(self.clock.clone()), Some(self.run.id())))
            .unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn play<T>(&self, future: impl Future<Output = T>) -> T {
        self.clock.run(future).unwrap()
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.clock.sleep_until(self.clock.now() + duration).await;
    }

    pub(crate) fn client(&self, number: u8) -> PeerClient {
        PeerClient::new(self.run.clone(), identity(number))
    }

    /// A light client that has read all rounds so far.
    pub(crate) fn light_client(&self) -> LightClient {
        let mut light_client = LightClient::genesis(self.run.clone());
        while self.play(light_client.poll()).unwrap().is_some() {}
        light_client
    }

    pub(crate) fn validator(&self) -> Validator {
        self.play(Validator::open(self.light_client(), creator_key())).unwrap()
    }

    pub(crate) fn close(&self, validator: &mut Validator) -> Closed {
        self.play(close(validator))
    }

    /// Sends heartbeats of some peers in the open round.
    pub(crate) fn heartbeats(&self, numbers: &[u8]) {
        let light_client = self.light_client();
        for number in numbers {
            self.play(self.client(*number).heartbeat(light_client.next(), light_client.head()))
                .unwrap();
        }
    }

    /// Commits and publishes deltas of some peers in the open round.
    pub(crate) fn deliver(&self, numbers: &[u8]) {
        let light_client = self.light_client();
        for number in numbers {
            let client = self.client(*number);
            self.play(commit_and_publish(&client, &light_client, delta(*number)));
        }
    }

    /// Plays a whole round in which some peers send heartbeats and deliver.
    pub(crate) fn round(&self, validator: &mut Validator, numbers: &[u8]) -> Manifest {
        self.heartbeats(numbers);
        self.deliver(numbers);
        self.close(validator).manifest
    }
}

/// The delta of a peer.
pub(crate) fn delta(number: u8) -> Bytes {
    Bytes::from(vec![number; 5])
}

/// Commits and publishes at once. A real peer waits in between, since others could copy its delta.
pub(crate) async fn commit_and_publish(
    client: &PeerClient,
    light_client: &LightClient,
    payload: Bytes,
) {
    let (round, base) = (light_client.next(), light_client.head());
    assert_eq!(client.commit(round, base, &payload).await.unwrap(), DeltaRef::of(&payload));
    assert_eq!(client.publish(round, base, payload).await.unwrap(), Published::Stored);
}

pub(crate) async fn close(validator: &mut Validator) -> Closed {
    validator
        .close_round(OUTER, SECOND, &mut TestEvaluator::default(), &AtomicBool::new(false))
        .await
        .unwrap()
        .unwrap()
}

/// Admits all deltas except those that begin with `x`, and measures the same gain for each of them.
#[derive(Debug, Default)]
pub(crate) struct TestEvaluator {
    /// The peer of each call to `admit`.
    pub(crate) admitted: Vec<PeerId>,
    /// Added to all losses after a delta.
    pub(crate) bias: f64,
}

impl Evaluator for TestEvaluator {
    fn admit(&mut self, age: Age, peer: PeerId, payload: &Bytes) -> Result<(), Exclusion> {
        if age == Age::Current {
            self.admitted.push(peer);
        }
        match payload.first() {
            Some(b'x') => Err(Exclusion::NotFinite),
            _ => Ok(()),
        }
    }

    fn sketch(&self, _: Age, _: PeerId, _: &Seed) -> Option<Sketch> {
        None
    }

    fn measure(
        &mut self,
        trial: &EvaluationRequest<'_>,
    ) -> Result<BTreeMap<PeerId, Measurement>, EvaluatorError> {
        let own = ProbeLosses { before: 2.0, after: 1.8 + self.bias, typical: 2.0 };
        let random = ProbeLosses { before: 2.0, after: 1.9 + self.bias, typical: 2.0 };
        Ok(trial.evaluated.keys().map(|peer| (*peer, Measurement { own, random })).collect())
    }

    fn weights_after(
        &mut self,
        included: &BTreeSet<PeerId>,
        _: &OuterSettings,
    ) -> Result<Digest, EvaluatorError> {
        Ok(Digest::of(format!("{included:?}").as_bytes()))
    }

    fn clear(&mut self) {}
}

/// The numbers of the included peers.
pub(crate) fn included(manifest: &Manifest) -> Vec<u8> {
    (0..90).filter(|number| manifest.included().contains_key(&peer(*number))).collect()
}

/// The numbers of the excluded peers, with reasons.
pub(crate) fn excluded(manifest: &Manifest) -> Vec<(u8, Exclusion)> {
    let reason = |number| Some((number, *manifest.excluded().get(&peer(number))?));
    (0..90).filter_map(reason).collect()
}
