//! Several validators, of whom not all are there and not all are honest.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use covey_comms::agreement::{ValidatorSet, Vote};
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::bucket::{Bucket, BucketError, Listed, Put};
use covey_comms::history::LightClient;
use covey_comms::objects::{Key, Manifest, Prefix};
use covey_comms::participants::validator::{Closed, Validator};
use covey_comms::primitives::{Keypair, Round, within};
use futures_util::future::{join, join3, select};

use crate::village::{OUTER, RULES, SECOND, Scales, Village, close, description, included, peer, say};

/// Three validators, of whom two must agree.
fn validators() -> [Keypair; 3] {
    [91, 92, 93].map(|number| Keypair::from_secret(&[number; 32]))
}

/// A run of three validators, ordered as they take turns in round 1, with three peers in it and round 1 open.
fn settle() -> (Village, Vec<Validator>) {
    let quorum = ValidatorSet::new(validators().iter().map(Keypair::peer).collect(), 2).unwrap();
    let village = Village::found(&covey_comms::run::Description { quorum: quorum.clone(), ..description(RULES) });
    [1, 2, 3].into_iter().for_each(|number| village.play(village.member(number).hello()).unwrap());
    let mut all: Vec<Validator> = quorum.turns(Round(1)).map(|turn| village.validator_named(turn)).collect();
    let [one, other, third] = all.as_mut_slice() else { panic!("there are three") };
    village.play(join3(close(one), close(other), close(third)));
    (village, all)
}

impl Village {
    fn validator_named(&self, name: covey_comms::primitives::PeerId) -> Validator {
        let identity = validators().into_iter().find(|identity| identity.peer() == name).unwrap();
        self.play(Validator::open(self.follower(), identity)).unwrap()
    }
}

/// Commits at once, and reveals as soon as that is safe.
async fn contribute(village: &Village, numbers: &[u8]) {
    let follower = village.follower_now().await;
    for number in numbers {
        let member = village.member(*number);
        member.heartbeat(follower.next(), follower.head()).await.unwrap();
        say(&member, &follower, crate::village::delta(*number)).await;
    }
}

impl Village {
    async fn follower_now(&self) -> LightClient {
        let mut follower = LightClient::genesis(self.run.clone());
        while follower.poll().await.unwrap().is_some() {}
        follower
    }
}

async fn close_with_bias(validator: &mut Validator, bias: f64) -> Closed {
    let mut scales = Scales { bias, ..Scales::default() };
    validator.close_round(OUTER, SECOND, &mut scales, &AtomicBool::new(false)).await.unwrap().unwrap()
}

/// Who signed the manifest of a round.
fn signers(village: &Village, manifest: &Manifest) -> usize {
    let certificate = village.play(village.run.certificate(manifest.round(), Some(manifest.previous()))).unwrap();
    assert_eq!(certificate.manifest(), manifest);
    certificate.signatures().len()
}

#[test]
fn validators_agree_and_two_of_them_sign() {
    let (village, mut all) = settle();
    let [one, other, third] = all.as_mut_slice() else { panic!("there are three") };
    for _ in 0..4 {
        village.play(contribute(&village, &[1, 2, 3]));
        let (first, second, last) = village.play(join3(close(one), close(other), close(third)));
        assert_eq!((&first.manifest, &first.manifest), (&second.manifest, &last.manifest));
        assert_eq!(included(&first.manifest), [1, 2, 3]);
        assert!(signers(&village, &first.manifest) >= 2);
    }
}

#[test]
fn the_next_takes_over_from_one_that_is_silent() {
    let (village, mut all) = settle();
    // The one whose turn it is called the roll, and is never heard of again.
    let [leader, other, third] = all.as_mut_slice() else { panic!("there are three") };
    village.play(contribute(&village, &[1, 2, 3]));
    assert!(village.play(within(&village.clock, Duration::from_millis(1), close(leader))).is_none());
    let start = village.now();
    let (second, last) = village.play(join(close(other), close(third)));
    assert_eq!(second.manifest, last.manifest);
    assert_eq!(second.manifest.grounds().proposer, village_turn(&village, 1));
    let elapsed = village.now().since(start);
    assert!((RULES.takeover..RULES.takeover + SECOND * 3).contains(&elapsed), "{elapsed:?}");
}

fn village_turn(village: &Village, turn: usize) -> covey_comms::primitives::PeerId {
    village.run.description().quorum.turns(Round(1)).nth(turn).unwrap()
}

#[test]
fn a_verdict_that_nobody_else_finds_is_refused_by_name_and_the_next_proposes_at_once() {
    let (village, mut all) = settle();
    let [liar, other, third] = all.as_mut_slice() else { panic!("there are three") };
    village.play(contribute(&village, &[1, 2, 3]));
    let start = village.now();
    // The first to look is the first to call the roll.
    let (_, second, last) = village.play(join3(close_with_bias(liar, -0.5), close(other), close(third)));
    assert_eq!(second.manifest, last.manifest);
    assert_eq!(included(&second.manifest), [1, 2, 3]);
    assert_eq!(second.manifest.grounds().proposer, village_turn(&village, 1));
    assert!(village.now().since(start) < RULES.takeover, "nobody waits for a proposer that was refused");
    let votes = village.play(village.run.votes(Round(1), second.manifest.previous())).unwrap();
    let refusals: Vec<_> = votes[&village_turn(&village, 0)].values().collect();
    let names_losses = |vote: &&&Vote| matches!(vote, Vote::Refuses { reason } if reason.contains("measurements"));
    assert_eq!(refusals.iter().filter(names_losses).count(), 2, "{refusals:?}");
}

/// A bucket that shows all but one object.
#[derive(Debug)]
struct Blind {
    inner: MemoryBucket,
    hidden: Key,
}

#[async_trait]
impl Bucket for Blind {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        match *key == self.hidden {
            true => Err(BucketError::NotFound { what: key.to_string() }),
            false => self.inner.get(key, limit).await,
        }
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        self.inner.put_new(key, body).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        let mut listing = self.inner.list(prefix, after).await?;
        listing.retain(|listed| listed.key != self.hidden);
        Ok(listing)
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.inner.delete(key).await
    }
}

#[test]
fn a_proposer_that_denies_a_delta_which_others_saw_is_refused() {
    let (village, mut all) = settle();
    let leader = village_turn(&village, 0);
    let hidden = Key::Delta(Round(1), peer(3));
    let run = village.through(Blind { inner: village.bucket.clone(), hidden });
    let identity = validators().into_iter().find(|identity| identity.peer() == leader).unwrap();
    let follower = LightClient::resume(run, village.follower().position());
    let mut blind = village.play(Validator::open(follower, identity)).unwrap();
    village.play(contribute(&village, &[1, 2, 3]));
    let [_, other, third] = all.as_mut_slice() else { panic!("there are three") };
    let others = async {
        // After the blind one, so that its roll is among those that are used.
        village.sleep(Duration::from_millis(1)).await;
        join(close(other), close(third)).await
    };
    // In the end it cannot follow what the others decided.
    let (mut scales, interrupt) = (Scales::default(), AtomicBool::new(false));
    let blind = within(&village.clock, RULES.reveal * 3, blind.close_round(OUTER, SECOND, &mut scales, &interrupt));
    let (_, (second, last)) = village.play(join(blind, others));
    assert_eq!(second.manifest, last.manifest);
    assert_eq!(included(&second.manifest), [1, 2, 3]);
    assert_ne!(second.manifest.grounds().proposer, leader);
}

#[test]
fn one_validator_alone_decides_nothing() {
    let (village, mut all) = settle();
    village.play(contribute(&village, &[1, 2, 3]));
    assert!(village.play(within(&village.clock, RULES.takeover * 10, close(&mut all[0]))).is_none());
    let (mut one, mut other) = (all.remove(0), all.remove(0));
    let (first, second) = village.play(join(close(&mut one), close(&mut other)));
    assert_eq!(first.manifest, second.manifest);
}

#[test]
fn a_validator_that_is_killed_between_roll_and_verdict_keeps_its_word() {
    let (village, all) = settle();
    drop(all);
    village.play(contribute(&village, &[1, 2, 3]));
    let turns: Vec<_> = village.run.description().quorum.turns(Round(1)).collect();
    let mut steady = village.validator_named(turns[2]);
    let lives = async {
        loop {
            let follower = village.follower_now().await;
            let identity = validators().into_iter().find(|identity| identity.peer() == turns[0]).unwrap();
            let mut leader = Validator::open(follower, identity).await.unwrap();
            if let Some(closed) = within(&village.clock, SECOND * 2, close(&mut leader)).await {
                return closed;
            }
        }
    };
    let closed = village.play(async {
        match select(Box::pin(close(&mut steady)), Box::pin(lives)).await {
            futures_util::future::Either::Left((closed, _)) => closed,
            futures_util::future::Either::Right((closed, _)) => closed,
        }
    });
    assert_eq!(included(&closed.manifest), [1, 2, 3]);
}
