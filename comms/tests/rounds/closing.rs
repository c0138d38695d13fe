//! The end of a round, and the peers that it includes.

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
    Cluster, RULES, SECOND, close, commit_and_publish, creator_key, delta, excluded, included, peer,
};

#[test]
fn a_round_ends_once_all_expected_peers_delivered() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    let start = cluster.now();
    cluster.heartbeats(&[1, 2, 3]);
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
fn a_missing_peer_is_expected_until_the_deadline_and_not_in_the_next_round() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    let start = cluster.now();
    let manifest = cluster.round(&mut validator, &[1, 2]);
    assert_eq!(cluster.now().since(start), RULES.deadline);
    assert_eq!(
        (included(&manifest), excluded(&manifest)),
        (vec![1, 2], vec![(3, Exclusion::Missing)])
    );
    let manifest = cluster.round(&mut validator, &[1, 2]);
    assert_eq!(cluster.now().since(start), RULES.deadline, "the missing peer is not expected");
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], vec![]));
}

#[test]
fn a_peer_is_included_again_after_a_missed_round() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    cluster.round(&mut validator, &[1, 2]);
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn the_deadline_starts_with_the_first_heartbeat() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2]);
    let start = cluster.now();
    let beat = async {
        cluster.sleep(SECOND * 5000).await;
        let light_client = cluster.run.clone();
        let mut light_client = LightClient::genesis(light_client);
        light_client.poll().await.unwrap().unwrap();
        cluster.client(1).heartbeat(light_client.next(), light_client.head()).await.unwrap();
    };
    let (closed, ()) = cluster.play(join(close(&mut validator), beat));
    let elapsed = cluster.now().since(start) - SECOND * 5000;
    assert!((RULES.deadline..=RULES.deadline + SECOND).contains(&elapsed), "{elapsed:?}");
    assert!(closed.manifest.is_void());
}

#[test]
fn a_void_round_changes_only_the_lineage() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2]);
    let before = cluster.light_client();
    cluster.heartbeats(&[1, 2]);
    let manifest = cluster.close(&mut validator).manifest;
    let after = cluster.light_client();
    assert!(manifest.is_void());
    assert_eq!((after.outer_steps(), after.next()), (before.outer_steps(), Round(2)));
    assert_ne!(after.head(), before.head());
    assert_eq!(
        included(&cluster.round(&mut validator, &[1, 2])),
        [1, 2],
        "all peers are still active"
    );
}

#[test]
fn a_round_with_fewer_than_min_peers_ends_at_its_deadline() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    cluster.round(&mut validator, &[1]);
    let start = cluster.now();
    let manifest = cluster.round(&mut validator, &[1]);
    assert_eq!(cluster.now().since(start), RULES.deadline);
    assert_eq!(included(&manifest), [1]);
}

/// A bucket with slow listings, which are outdated when they arrive.
#[derive(Debug)]
struct SlowListings {
    inner: MemoryBucket,
    clock: VirtualClock,
    delay: Duration,
}

#[async_trait]
impl Bucket for SlowListings {
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
    fn slow_validator(&self, delay: Duration) -> Validator {
        let bucket = SlowListings { inner: self.bucket.clone(), clock: self.clock.clone(), delay };
        let light_client =
            LightClient::resume(self.through(bucket), self.light_client().position());
        self.play(Validator::open(light_client, creator_key())).unwrap()
    }
}

#[test]
fn a_commitment_after_the_last_poll_is_late() {
    let (cluster, _) = Cluster::with_peers(RULES, &[1, 2, 3]);
    let mut validator = cluster.slow_validator(SECOND * 2);
    cluster.heartbeats(&[1, 2, 3]);
    cluster.deliver(&[1, 2]);
    let light_client = cluster.light_client();
    let straggler = async {
        // The first two listings set the deadline. The last poll is the first that begins after it,
        // and shows the objects at the time of its second listing.
        cluster.sleep(SECOND * 4 + RULES.deadline + SECOND * 9).await;
        commit_and_publish(&cluster.client(3), &light_client, delta(3)).await;
    };
    let (closed, ()) = cluster.play(join(close(&mut validator), straggler));
    assert_eq!(included(&closed.manifest), [1, 2]);
    assert_eq!(excluded(&closed.manifest), [(3, Exclusion::Late)]);
}

/// Plays a round with slow peers and a validator that restarts every `period` seconds.
fn play_with_restarts(period: u64) -> Manifest {
    let (cluster, _) = Cluster::with_peers(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3, 4]);
    cluster.heartbeats(&[1, 2, 3, 4]);
    let light_client = cluster.light_client();
    let deliveries = async {
        for number in [4, 2, 3, 1] {
            cluster.sleep(SECOND * 7).await;
            commit_and_publish(&cluster.client(number), &light_client, delta(number)).await;
        }
    };
    let validators = async {
        loop {
            let light_client = LightClient::resume(cluster.run.clone(), light_client.position());
            let mut validator = Validator::open(light_client, creator_key()).await.unwrap();
            if let Some(closed) =
                within(&cluster.clock, SECOND * period as u32, close(&mut validator)).await
            {
                return closed.manifest;
            }
        }
    };
    cluster.play(join(validators, deliveries)).0
}

#[test]
fn restarts_of_the_validator_do_not_change_the_outcome() {
    let undisturbed = play_with_restarts(1000);
    assert_eq!(undisturbed.included().len(), 2);
    for period in 1..30 {
        let disturbed = play_with_restarts(period);
        assert_eq!(disturbed.included(), undisturbed.included(), "restart every {period} s");
        assert_eq!(disturbed.excluded(), undisturbed.excluded(), "restart every {period} s");
    }
}

#[test]
fn a_validator_without_state_catches_up_with_the_run() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    cluster.round(&mut validator, &[1, 2, 3]);
    cluster.round(&mut validator, &[1, 2]);
    let mut fresh = cluster
        .play(Validator::open(LightClient::genesis(cluster.run.clone()), creator_key()))
        .unwrap();
    let rounds: Vec<_> = (0..3).map(|_| cluster.close(&mut fresh)).collect();
    assert_eq!(rounds[1].deltas.len(), 3);
    assert_eq!(fresh.light_client().position(), validator.light_client().position());
    cluster.heartbeats(&[1, 2]);
    cluster.deliver(&[1, 2]);
    let manifest = cluster.close(&mut fresh).manifest;
    assert_eq!(cluster.close(&mut validator).manifest, manifest);
}

#[test]
fn two_instances_of_a_validator_agree() {
    let (cluster, mut first) =
        Cluster::with_peers(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3]);
    let mut second = cluster.slow_validator(SECOND);
    for _ in 0..4 {
        let light_client = cluster.light_client();
        let deliveries = async {
            for number in [1, 2, 3] {
                let client = cluster.client(number);
                client.heartbeat(light_client.next(), light_client.head()).await.unwrap();
                commit_and_publish(&client, &light_client, delta(number)).await;
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
fn the_order_of_deliveries_does_not_decide_which_peer_is_surplus() {
    let play = |order: &[u8]| {
        let (cluster, mut validator) =
            Cluster::with_peers(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3, 4, 5]);
        cluster.heartbeats(order);
        let polls = order.iter().map(|number| {
            cluster.deliver(&[*number]);
            cluster.play(within(&cluster.clock, SECOND, close(&mut validator)))
        });
        let closed = polls.last().flatten().unwrap();
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
fn surplus_peers_are_expected_in_the_next_round() {
    let (cluster, mut validator) =
        Cluster::with_peers(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3, 4]);
    let manifest = cluster.round(&mut validator, &[1, 2, 3, 4]);
    let included = included(&manifest);
    cluster.heartbeats(&included);
    cluster.deliver(&included);
    assert!(
        cluster.play(within(&cluster.clock, RULES.deadline / 2, close(&mut validator))).is_none()
    );
}

#[test]
fn rounds_close_over_a_faulty_bucket() {
    let (cluster, _) = Cluster::with_peers(RULES, &[1, 2, 3]);
    for seed in 0..20 {
        let clock = std::sync::Arc::new(cluster.clock.clone());
        let faulty = Faulty::new(cluster.bucket.clone(), clock.clone(), FaultRates::BAD_DAY, seed);
        let run = cluster.through(Retry::new(faulty, clock, RetryPolicy::default(), seed));
        let light_client = LightClient::resume(run, cluster.light_client().position());
        let mut validator = cluster.play(Validator::open(light_client, creator_key())).unwrap();
        assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3], "seed {seed}");
    }
}
