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

use crate::village::{RULES, SECOND, Village, close, delta, excluded, included, mayor, peer, say};

#[test]
fn a_round_ends_as_soon_as_everybody_delivered_and_includes_them() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    let start = village.now();
    village.begin(&[1, 2, 3]);
    village.deliver(&[3, 1, 2]);
    let closed = village.close(&mut validator);
    assert_eq!(village.now(), start);
    assert_eq!(included(&closed.manifest), [1, 2, 3]);
    assert_eq!(closed.deltas, [1, 2, 3].map(|number| (peer(number), delta(number))).into());
    assert_eq!(village.play(village.follower().gather(&closed.manifest)).unwrap(), closed.deltas);
    assert_eq!(village.follower().outer_steps(), 1);
}

#[test]
fn a_round_waits_for_the_silent_until_its_deadline_and_the_next_does_not() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    let start = village.now();
    let manifest = village.round(&mut validator, &[1, 2]);
    assert_eq!(village.now().since(start), RULES.deadline);
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], vec![(3, Exclusion::Missing)]));
    let manifest = village.round(&mut validator, &[1, 2]);
    assert_eq!(village.now().since(start), RULES.deadline, "nobody waited for the peer that was silent");
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], vec![]));
}

#[test]
fn who_was_silent_is_included_if_it_delivers() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    village.round(&mut validator, &[1, 2]);
    assert_eq!(included(&village.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn the_deadline_counts_from_the_first_heartbeat() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2]);
    let start = village.now();
    let beat = async {
        village.sleep(SECOND * 5000).await;
        let follower = village.run.clone();
        let mut follower = LightClient::genesis(follower);
        follower.poll().await.unwrap().unwrap();
        village.member(1).heartbeat(follower.next(), follower.head()).await.unwrap();
    };
    let (closed, ()) = village.play(join(close(&mut validator), beat));
    let elapsed = village.now().since(start) - SECOND * 5000;
    assert!((RULES.deadline..=RULES.deadline + SECOND).contains(&elapsed), "{elapsed:?}");
    assert!(closed.manifest.is_void());
}

#[test]
fn a_void_round_moves_the_lineage_and_nothing_else() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2]);
    let before = village.follower();
    village.begin(&[1, 2]);
    let manifest = village.close(&mut validator).manifest;
    let after = village.follower();
    assert!(manifest.is_void());
    assert_eq!((after.outer_steps(), after.next()), (before.outer_steps(), Round(2)));
    assert_ne!(after.head(), before.head());
    assert_eq!(included(&village.round(&mut validator, &[1, 2])), [1, 2], "all go on");
}

#[test]
fn fewer_than_enough_make_a_round_only_at_its_deadline() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    village.round(&mut validator, &[1]);
    let start = village.now();
    let manifest = village.round(&mut validator, &[1]);
    assert_eq!(village.now().since(start), RULES.deadline);
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

impl Village {
    fn slowly(&self, delay: Duration) -> Validator {
        let bucket = Slow { inner: self.bucket.clone(), clock: self.clock.clone(), delay };
        let follower = LightClient::resume(self.through(bucket), self.follower().position());
        self.play(Validator::open(follower, mayor())).unwrap()
    }
}

#[test]
fn what_arrives_while_the_round_is_being_closed_is_late() {
    let (village, _) = Village::inhabited(RULES, &[1, 2, 3]);
    let mut validator = village.slowly(SECOND * 2);
    village.begin(&[1, 2, 3]);
    village.deliver(&[1, 2]);
    let follower = village.follower();
    let straggler = async {
        // The deadline is set after the first two listings. The look that counts is the first that begins after it, and
        // shows what was there at its second listing.
        village.sleep(SECOND * 4 + RULES.deadline + SECOND * 9).await;
        say(&village.member(3), &follower, delta(3)).await;
    };
    let (closed, ()) = village.play(join(close(&mut validator), straggler));
    assert_eq!(included(&closed.manifest), [1, 2]);
    assert_eq!(excluded(&closed.manifest), [(3, Exclusion::Late)]);
}

/// Plays a round in which peers deliver now and then, by a validator that is replaced after `lives` seconds each.
fn play_with_lives(lives: u64) -> Manifest {
    let (village, _) = Village::inhabited(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3, 4]);
    village.begin(&[1, 2, 3, 4]);
    let follower = village.follower();
    let deliveries = async {
        for number in [4, 2, 3, 1] {
            village.sleep(SECOND * 7).await;
            say(&village.member(number), &follower, delta(number)).await;
        }
    };
    let validators = async {
        loop {
            let follower = LightClient::resume(village.run.clone(), follower.position());
            let mut validator = Validator::open(follower, mayor()).await.unwrap();
            if let Some(closed) = within(&village.clock, SECOND * lives as u32, close(&mut validator)).await {
                return closed.manifest;
            }
        }
    };
    village.play(join(validators, deliveries)).0
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
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    village.round(&mut validator, &[1, 2, 3]);
    village.round(&mut validator, &[1, 2]);
    let mut fresh = village.play(Validator::open(LightClient::genesis(village.run.clone()), mayor())).unwrap();
    let rounds: Vec<_> = (0..3).map(|_| village.close(&mut fresh)).collect();
    assert_eq!(rounds[1].deltas.len(), 3);
    assert_eq!(fresh.follower().position(), validator.follower().position());
    village.begin(&[1, 2]);
    village.deliver(&[1, 2]);
    let manifest = village.close(&mut fresh).manifest;
    assert_eq!(village.close(&mut validator).manifest, manifest);
}

#[test]
fn two_validators_agree() {
    let (village, mut first) = Village::inhabited(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3]);
    let mut second = village.slowly(SECOND);
    for _ in 0..4 {
        let follower = village.follower();
        let deliveries = async {
            for number in [1, 2, 3] {
                let member = village.member(number);
                member.heartbeat(follower.next(), follower.head()).await.unwrap();
                say(&member, &follower, delta(number)).await;
                village.sleep(SECOND).await;
            }
        };
        let (one, other, ()) = village.play(join3(close(&mut first), close(&mut second), deliveries));
        assert_eq!(one, other);
        assert_eq!(one.deltas.len(), 2);
    }
    assert_eq!(first.follower().position(), second.follower().position());
}

#[test]
fn who_is_surplus_does_not_depend_on_who_was_first() {
    let play = |order: &[u8]| {
        let (village, mut validator) = Village::inhabited(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3, 4, 5]);
        village.begin(order);
        let looks = order.iter().map(|number| {
            village.deliver(&[*number]);
            village.play(within(&village.clock, SECOND, close(&mut validator)))
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
    let (village, mut validator) = Village::inhabited(RoundParams { max_included: 2, ..RULES }, &[1, 2, 3, 4]);
    let manifest = village.round(&mut validator, &[1, 2, 3, 4]);
    let included = included(&manifest);
    village.begin(&included);
    village.deliver(&included);
    assert!(village.play(within(&village.clock, RULES.deadline / 2, close(&mut validator))).is_none());
}

#[test]
fn rounds_close_on_bad_days() {
    let (village, _) = Village::inhabited(RULES, &[1, 2, 3]);
    for seed in 0..20 {
        let clock = std::sync::Arc::new(village.clock.clone());
        let faulty = Faulty::new(village.bucket.clone(), clock.clone(), FaultRates::BAD_DAY, seed);
        let run = village.through(Retry::new(faulty, clock, RetryPolicy::default(), seed));
        let follower = LightClient::resume(run, village.follower().position());
        let mut validator = village.play(Validator::open(follower, mayor())).unwrap();
        assert_eq!(included(&village.round(&mut validator, &[1, 2, 3])), [1, 2, 3], "seed {seed}");
    }
}
