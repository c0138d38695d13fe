//! When a round ends, and who is in it then.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use covey_comms::bucket::decorators::{FaultRates, Faulty, Retry, RetryPolicy};
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::bucket::{Bucket, BucketError, Listed, Put};
use covey_comms::history::LightClient;
use covey_comms::objects::{Exclusion, Key, Manifest, Prefix};
use covey_comms::participants::validator::Validator;
use covey_comms::primitives::{Clock, Round, VirtualClock, within};
use covey_comms::run::RoundParams;
use futures_util::future::{join, join3};

use crate::cluster::{
    Cluster, RULES, SECOND, close, creator_key, delta, excluded, included, peer, say,
};

#[test]
fn a_round_ends_as_soon_as_everybody_delivered_and_includes_them() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2, 3]);
    let start = cluster.now();
    cluster.begin(&[1, 2, 3]);
    cluster.deliver(&[3, 1, 2]);
    let closed = cluster.close(&mut validator);
    assert_eq!(cluster.now(), start);
    assert_eq!(included(&closed.manifest), [1, 2, 3]);
    assert_eq!(closed.deltas, [1, 2, 3].map(|number| (peer(number), delta(number))).into());
    assert_eq!(
        cluster.play(cluster.light_client().gather(&closed.manifest)).unwrap(),
        closed.deltas
    );
    assert_eq!(cluster.light_client().outer_steps(), 1);
}

#[test]
fn a_round_waits_for_the_silent_until_its_deadline_and_the_next_does_not() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2, 3]);
    let start = cluster.now();
    let manifest = cluster.round(&mut validator, &[1, 2]);
    assert_eq!(cluster.now().since(start), RULES.deadline);
    assert_eq!(
        (included(&manifest), excluded(&manifest)),
        (vec![1, 2], vec![(3, Exclusion::Missing)])
    );
    let manifest = cluster.round(&mut validator, &[1, 2]);
    assert_eq!(
        cluster.now().since(start),
        RULES.deadline,
        "nobody waited for the peer that was silent"
    );
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], vec![]));
}

#[test]
fn who_was_silent_is_included_if_it_delivers() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2, 3]);
    cluster.round(&mut validator, &[1, 2]);
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn the_deadline_counts_from_the_first_heartbeat() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2]);
    let start = cluster.now();
    let beat = async {
        cluster.sleep(SECOND * 5000).await;
        let light_client = cluster.run.clone();
        let mut light_client = LightClient::genesis(light_client);
        light_client.poll().await.unwrap().unwrap();
        cluster.member(1).heartbeat(light_client.next(), light_client.head()).await.unwrap();
    };
    let (closed, ()) = cluster.play(join(close(&mut validator), beat));
    let elapsed = cluster.now().since(start) - SECOND * 5000;
    assert!((RULES.deadline..=RULES.deadline + SECOND).contains(&elapsed), "{elapsed:?}");
    assert!(closed.manifest.is_void());
}

#[test]
fn a_void_round_moves_the_lineage_and_nothing_else() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2]);
    let before = cluster.light_client();
    cluster.begin(&[1, 2]);
    let manifest = cluster.close(&mut validator).manifest;
    let after = cluster.light_client();
    assert!(manifest.is_void());
    assert_eq!((after.outer_steps(), after.next()), (before.outer_steps(), Round(2)));
    assert_ne!(after.head(), before.head());
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2])), [1, 2], "all go on");
}

#[test]
fn fewer_than_enough_make_a_round_only_at_its_deadline() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2, 3]);
    cluster.round(&mut validator, &[1]);
    let start = cluster.now();
    let manifest = cluster.round(&mut validator, &[1]);
    assert_eq!(cluster.now().since(start), RULES.deadline);
    assert_eq!(included(&manifest), [1]);
}

/// Listings that take a while to arrive, and are old by then.
#[derive(Debug)]
struct Slow {
    inner: MemoryBucket,
    clock: VirtualClock,
    delay: Duration,
}

#[async_trait]
impl Bucket for Slow {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        self.inner.get(key, limit).await
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        self.inner.put_new(key, body).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        let listing = self.inner.list(prefix, after).await;
        self.clock.sleep_until(self.clock.now() + self.delay).await;
        listing
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.inner.delete(key).await
    }
}

impl Cluster {
    fn slowly(&self, delay: Duration) -> Validator {
        let bucket = Slow { inner: self.bucket.clone(), clock: self.clock.clone(), delay };
        let light_client =
            LightClient::resume(self.through(bucket), self.light_client().position());
        self.play(Validator::open(light_client, creator_key())).unwrap()
    }
}

#[test]
fn what_arrives_while_the_round_is_being_closed_is_late() {
    let (cluster, _) = Cluster::inhabited(RULES, &[1, 2, 3]);
    let mut validator = cluster.slowly(SECOND * 2);
    cluster.begin(&[1, 2, 3]);
    cluster.deliver(&[1, 2]);
    let light_client = cluster.light_client();
    let straggler = async {
        // The deadline is set after the first two listings. The look that counts is the first that begins after it, and
        // shows what was there at its second listing.
        cluster.sleep(SECOND * 4 + RULES.deadline + SECOND * 9).await;
        say(&cluster.member(3), &light_client, delta(3)).await;
    };
    let (closed, ()) = cluster.play(join(close(&mut validator), straggler));
    assert_eq!(included(&closed.manifest), [1, 2]);
    assert_eq!(excluded(&closed.manifest), [(3, Exclusion::Late)]);
}

/// Plays a round in which peers deliver now and then, by a validator that is replaced after `lives` seconds each.
fn play_with_lives(lives: u64) -> Manifest {
    let (cluster, _) = Cluster::inhabited(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3, 4]);
    cluster.begin(&[1, 2, 3, 4]);
    let light_client = cluster.light_client();
    let deliveries = async {
        for number in [4, 2, 3, 1] {
            cluster.sleep(SECOND * 7).await;
            say(&cluster.member(number), &light_client, delta(number)).await;
        }
    };
    let validators = async {
        loop {
            let light_client = LightClient::resume(cluster.run.clone(), light_client.position());
            let mut validator = Validator::open(light_client, creator_key()).await.unwrap();
            if let Some(closed) =
                within(&cluster.clock, SECOND * lives as u32, close(&mut validator)).await
            {
                return closed.manifest;
            }
        }
    };
    cluster.play(join(validators, deliveries)).0
}

#[test]
fn a_validator_that_is_killed_and_started_again_decides_the_same() {
    let undisturbed = play_with_lives(1000);
    assert_eq!(undisturbed.included().len(), 2);
    for lives in 1..30 {
        let disturbed = play_with_lives(lives);
        assert_eq!(disturbed.included(), undisturbed.included(), "killed every {lives} s");
        assert_eq!(disturbed.excluded(), undisturbed.excluded(), "killed every {lives} s");
    }
}

#[test]
fn a_validator_that_starts_from_nothing_goes_on_where_the_run_is() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2, 3]);
    cluster.round(&mut validator, &[1, 2, 3]);
    cluster.round(&mut validator, &[1, 2]);
    let mut fresh = cluster
        .play(Validator::open(LightClient::genesis(cluster.run.clone()), creator_key()))
        .unwrap();
    let rounds: Vec<_> = (0..3).map(|_| cluster.close(&mut fresh)).collect();
    assert_eq!(rounds[1].deltas.len(), 3);
    assert_eq!(fresh.light_client().position(), validator.light_client().position());
    cluster.begin(&[1, 2]);
    cluster.deliver(&[1, 2]);
    let manifest = cluster.close(&mut fresh).manifest;
    assert_eq!(cluster.close(&mut validator).manifest, manifest);
}

#[test]
fn two_validators_agree() {
    let (cluster, mut first) =
        Cluster::inhabited(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3]);
    let mut second = cluster.slowly(SECOND);
    for _ in 0..4 {
        let light_client = cluster.light_client();
        let deliveries = async {
            for number in [1, 2, 3] {
                let member = cluster.member(number);
                member.heartbeat(light_client.next(), light_client.head()).await.unwrap();
                say(&member, &light_client, delta(number)).await;
                cluster.sleep(SECOND).await;
            }
        };
        let (one, other, ()) =
            cluster.play(join3(close(&mut first), close(&mut second), deliveries));
        assert_eq!(one, other);
        assert_eq!(one.deltas.len(), 2);
    }
    assert_eq!(first.light_client().position(), second.light_client().position());
}

#[test]
fn who_is_surplus_does_not_depend_on_who_was_first() {
    let play = |order: &[u8]| {
        let (cluster, mut validator) =
            Cluster::inhabited(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3, 4, 5]);
        cluster.begin(order);
        let looks = order.iter().map(|number| {
            cluster.deliver(&[*number]);
            cluster.play(within(&cluster.clock, SECOND, close(&mut validator)))
        });
        let closed = looks.last().flatten().unwrap();
        assert_eq!(closed.deltas.len(), 2);
        assert!(closed.manifest.excluded().values().all(|reason| *reason == Exclusion::Surplus));
        (closed.manifest.included().clone(), closed.manifest.excluded().clone())
    };
    let decision = play(&[1, 2, 3, 4, 5]);
    assert_eq!(decision.1.len(), 3);
    assert_eq!(play(&[5, 4, 3, 2, 1]), decision);
    assert_eq!(play(&[3, 1, 5, 2, 4]), decision);
}

#[test]
fn surplus_peers_are_waited_for_in_the_next_round() {
    let (cluster, mut validator) =
        Cluster::inhabited(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3, 4]);
    let manifest = cluster.round(&mut validator, &[1, 2, 3, 4]);
    let included = included(&manifest);
    cluster.begin(&included);
    cluster.deliver(&included);
    assert!(
        cluster.play(within(&cluster.clock, RULES.deadline / 2, close(&mut validator))).is_none()
    );
}

#[test]
fn rounds_close_on_bad_days() {
    let (cluster, _) = Cluster::inhabited(RULES, &[1, 2, 3]);
    for seed in 0..20 {
        let clock = std::sync::Arc::new(cluster.clock.clone());
        let faulty = Faulty::new(cluster.bucket.clone(), clock.clone(), FaultRates::BAD_DAY, seed);
        let run = cluster.through(Retry::new(faulty, clock, RetryPolicy::default(), seed));
        let light_client = LightClient::resume(run, cluster.light_client().position());
        let mut validator = cluster.play(Validator::open(light_client, creator_key())).unwrap();
        assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3], "seed {seed}");
    }
}
