//! A bucket with a run in it, and everybody who takes part.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use covey_comms::{
    Bucket, Clip, Clock, Closed, Coordinator, Description, Digest, Exclusion, Follower, Identity, Manifest, MeanOver,
    Member, MemoryBucket, OuterSettings, PeerId, Published, Rules, Run, Timestamp, VirtualClock,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const OUTER: OuterSettings = OuterSettings { alpha: 1.0, mean_over: MeanOver::Senders, clip: Clip::Off };
pub(crate) const RULES: Rules = Rules {
    max_delta: 100,
    min_peers: 2,
    max_included: 10,
    deadline: Duration::from_secs(60),
    patience: 2,
    checkpoint_every: 2,
    keep_checkpoints: 2,
};

pub(crate) struct Village {
    pub(crate) clock: VirtualClock,
    pub(crate) bucket: MemoryBucket,
    pub(crate) run: Run,
}

/// The coordinator's identity.
pub(crate) fn mayor() -> Identity {
    Identity::from_secret(&[99; 32])
}

pub(crate) fn identity(number: u8) -> Identity {
    Identity::from_secret(&[number; 32])
}

pub(crate) fn peer(number: u8) -> PeerId {
    identity(number).peer()
}

pub(crate) fn description(rules: Rules) -> Description {
    Description {
        name: "village".into(),
        coordinator: mayor().peer(),
        seed: 7,
        genesis_weights: Digest::of(b"weights"),
        parts: [("config".to_string(), Digest::of(b"a config"))].into(),
        rules,
    }
}

pub(crate) fn parts() -> BTreeMap<String, Bytes> {
    [("config".to_string(), Bytes::from_static(b"a config"))].into()
}

impl Village {
    /// A run that was just founded.
    pub(crate) fn new(rules: Rules) -> Self {
        let clock = VirtualClock::default();
        let bucket = MemoryBucket::new(Arc::new(clock.clone()));
        let shared = (Arc::new(bucket.clone()), Arc::new(clock.clone()));
        let run = clock.run(Run::found(shared.0, shared.1, &description(rules), &parts())).unwrap().unwrap();
        Self { clock, bucket, run }
    }

    /// A run with the peers of some numbers in it, its coordinator, and round 1 open.
    pub(crate) fn inhabited(rules: Rules, numbers: &[u8]) -> (Self, Coordinator) {
        let village = Self::new(rules);
        numbers.iter().for_each(|number| village.play(village.member(*number).hello()).unwrap());
        let mut coordinator = village.coordinator();
        let manifest = village.close(&mut coordinator).manifest;
        assert_eq!(manifest.excluded().len(), numbers.len());
        (village, coordinator)
    }

    /// The run through another bucket, which leads to the same objects.
    pub(crate) fn through(&self, bucket: impl Bucket + 'static) -> Run {
        self.play(Run::open(Arc::new(bucket), Arc::new(self.clock.clone()), Some(self.run.id()))).unwrap()
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

    pub(crate) fn member(&self, number: u8) -> Member {
        Member::new(self.run.clone(), identity(number))
    }

    /// A follower that has read all that there is.
    pub(crate) fn follower(&self) -> Follower {
        let mut follower = Follower::genesis(self.run.clone());
        while self.play(follower.poll()).unwrap().is_some() {}
        follower
    }

    pub(crate) fn coordinator(&self) -> Coordinator {
        self.play(Coordinator::open(self.follower(), mayor())).unwrap()
    }

    pub(crate) fn close(&self, coordinator: &mut Coordinator) -> Closed {
        self.play(close(coordinator))
    }

    /// Begins the open round in the name of some peers.
    pub(crate) fn begin(&self, numbers: &[u8]) {
        let follower = self.follower();
        for number in numbers {
            self.play(self.member(*number).heartbeat(follower.next(), follower.head())).unwrap();
        }
    }

    /// Delivers to the open round in the name of some peers.
    pub(crate) fn deliver(&self, numbers: &[u8]) {
        let follower = self.follower();
        for number in numbers {
            let member = self.member(*number);
            let published = member.publish(follower.next(), follower.head(), delta(*number));
            assert_eq!(self.play(published).unwrap(), Published::Stored);
        }
    }

    /// A whole round in which some peers begin and deliver.
    pub(crate) fn round(&self, coordinator: &mut Coordinator, numbers: &[u8]) -> Manifest {
        self.begin(numbers);
        self.deliver(numbers);
        self.close(coordinator).manifest
    }
}

/// What the peer of a number has to say.
pub(crate) fn delta(number: u8) -> Bytes {
    Bytes::from(vec![number; 5])
}

pub(crate) async fn close(coordinator: &mut Coordinator) -> Closed {
    let mut accept = |_: PeerId, _: &Bytes| Ok(());
    coordinator.close_round(OUTER, SECOND, &mut accept, &AtomicBool::new(false)).await.unwrap().unwrap()
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
