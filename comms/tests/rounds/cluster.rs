//! A bucket with a run in it, and everybody who takes part.

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
use covey_comms::objects::{Clip, DeltaRef, Exclusion, Manifest, MeanOver, OuterSettings};
use covey_comms::participants::validator::{Closed, Validator};
use covey_comms::participants::{PeerClient, Published};
use covey_comms::primitives::{Clock, Digest, Keypair, PeerId, Timestamp, VirtualClock};
use covey_comms::run::{Description, RoundParams, Run};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const OUTER: OuterSettings =
    OuterSettings { alpha: 1.0, mean_over: MeanOver::Senders, clip: Clip::Off };
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

/// The validator's identity.
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
        name: "village".into(),
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
    /// A run that was just founded.
    pub(crate) fn new(rules: RoundParams) -> Self {
        Self::found(&description(rules))
    }

    /// The run of a description.
    pub(crate) fn found(description: &Description) -> Self {
        let clock = VirtualClock::default();
        let bucket = MemoryBucket::new(Arc::new(clock.clone()));
        let shared = (Arc::new(bucket.clone()), Arc::new(clock.clone()));
        let run =
            clock.run(Run::found(shared.0, shared.1, description, &parts())).unwrap().unwrap();
        Self { clock, bucket, run }
    }

    /// A run with the peers of some numbers in it, its validator, and round 1 open.
    pub(crate) fn inhabited(rules: RoundParams, numbers: &[u8]) -> (Self, Validator) {
        let cluster = Self::new(rules);
        numbers
            .iter()
            .for_each(|number| cluster.play(cluster.member(*number).join_request()).unwrap());
        let mut validator = cluster.validator();
        let manifest = cluster.close(&mut validator).manifest;
        assert_eq!(manifest.excluded().len(), numbers.len());
        (cluster, validator)
    }

    /// The run through another bucket, which leads to the same objects.
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

    pub(crate) fn member(&self, number: u8) -> PeerClient {
        PeerClient::new(self.run.clone(), identity(number))
    }

    /// A follower that has read all that there is.
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

    /// Begins the open round in the name of some peers.
    pub(crate) fn begin(&self, numbers: &[u8]) {
        let light_client = self.light_client();
        for number in numbers {
            self.play(self.member(*number).heartbeat(light_client.next(), light_client.head()))
                .unwrap();
        }
    }

    /// Delivers to the open round in the name of some peers.
    pub(crate) fn deliver(&self, numbers: &[u8]) {
        let light_client = self.light_client();
        for number in numbers {
            let member = self.member(*number);
            self.play(say(&member, &light_client, delta(*number)));
        }
    }

    /// A whole round in which some peers begin and deliver.
    pub(crate) fn round(&self, validator: &mut Validator, numbers: &[u8]) -> Manifest {
        self.begin(numbers);
        self.deliver(numbers);
        self.close(validator).manifest
    }
}

/// What the peer of a number has to say.
pub(crate) fn delta(number: u8) -> Bytes {
    Bytes::from(vec![number; 5])
}

/// Commits and reveals in one breath, as nobody should: whoever sees it in time could copy it.
pub(crate) async fn say(member: &PeerClient, light_client: &LightClient, payload: Bytes) {
    let (round, base) = (light_client.next(), light_client.head());
    assert_eq!(member.commit(round, base, &payload).await.unwrap(), DeltaRef::of(&payload));
    assert_eq!(member.publish(round, base, payload).await.unwrap(), Published::Stored);
}

pub(crate) async fn close(validator: &mut Validator) -> Closed {
    validator
        .close_round(OUTER, SECOND, &mut Scales::default(), &AtomicBool::new(false))
        .await
        .unwrap()
        .unwrap()
}

/// Reads any delta but those that begin with a cross, and finds all of them useful.
#[derive(Debug, Default)]
pub(crate) struct Scales {
    /// Who was admitted, as often as it happened.
    pub(crate) admitted: Vec<PeerId>,
    /// What is added to all losses after a delta.
    pub(crate) bias: f64,
}

impl Evaluator for Scales {
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

/// The numbers of the peers that a manifest includes.
pub(crate) fn included(manifest: &Manifest) -> Vec<u8> {
    let is_in = |number: &u8| manifest.included().contains_key(&peer(*number));
    (0..90).filter(is_in).collect()
}

/// The numbers of the peers that a manifest excludes, with reasons.
pub(crate) fn excluded(manifest: &Manifest) -> Vec<(u8, Exclusion)> {
    let reason = |number| Some((number, *manifest.excluded().get(&peer(number))?));
    (0..90).filter_map(reason).collect()
}
