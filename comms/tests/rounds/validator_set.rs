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

use crate::cluster::{
    Cluster, OUTER, RULES, SECOND, Scales, close, description, included, peer, say,
};

/// Three validators, of whom two must agree.
fn validators() -> [Keypair; 3] {
    [91, 92, 93].map(|number| Keypair::from_secret(&[number; 32]))
}

/// A run of three validators, ordered as they take turns in round 1, with three peers in it and round 1 open.
fn settle() -> (Cluster, Vec<Validator>) {
    let validator_set =
        ValidatorSet::new(validators().iter().map(Keypair::peer).collect(), 2).unwrap();
    let cluster = Cluster::found(&covey_comms::run::Description {
        validator_set: validator_set.clone(),
        ..description(RULES)
    });
    [1, 2, 3]
        .into_iter()
        .for_each(|number| cluster.play(cluster.member(number).join_request()).unwrap());
    let mut all: Vec<Validator> =
        validator_set.turns(Round(1)).map(|turn| cluster.validator_named(turn)).collect();
    let [one, other, third] = all.as_mut_slice() else { panic!("there are three") };
    cluster.play(join3(close(one), close(other), close(third)));
    (cluster, all)
}

impl Cluster {
    fn validator_named(&self, name: covey_comms::primitives::PeerId) -> Validator {
        let identity = validators().into_iter().find(|identity| identity.peer() == name).unwrap();
        self.play(Validator::open(self.light_client(), identity)).unwrap()
    }
}

/// Commits at once, and reveals as soon as that is safe.
async fn contribute(cluster: &Cluster, numbers: &[u8]) {
    let light_client = cluster.light_client_now().await;
    for number in numbers {
        let member = cluster.member(*number);
        member.heartbeat(light_client.next(), light_client.head()).await.unwrap();
        say(&member, &light_client, crate::cluster::delta(*number)).await;
    }
}

impl Cluster {
    async fn light_client_now(&self) -> LightClient {
        let mut light_client = LightClient::genesis(self.run.clone());
        while light_client.poll().await.unwrap().is_some() {}
        light_client
    }
}

async fn close_with_bias(validator: &mut Validator, bias: f64) -> Closed {
    let mut scales = Scales { bias, ..Scales::default() };
    validator
        .close_round(OUTER, SECOND, &mut scales, &AtomicBool::new(false))
        .await
        .unwrap()
        .unwrap()
}

/// Who signed the manifest of a round.
fn signers(cluster: &Cluster, manifest: &Manifest) -> usize {
    let certificate =
        cluster.play(cluster.run.certificate(manifest.round(), Some(manifest.previous()))).unwrap();
    assert_eq!(certificate.manifest(), manifest);
    certificate.signatures().len()
}

#[test]
fn validators_agree_and_two_of_them_sign() {
    let (cluster, mut all) = settle();
    let [one, other, third] = all.as_mut_slice() else { panic!("there are three") };
    for _ in 0..4 {
        cluster.play(contribute(&cluster, &[1, 2, 3]));
        let (first, second, last) = cluster.play(join3(close(one), close(other), close(third)));
        assert_eq!((&first.manifest, &first.manifest), (&second.manifest, &last.manifest));
        assert_eq!(included(&first.manifest), [1, 2, 3]);
        assert!(signers(&cluster, &first.manifest) >= 2);
    }
}

#[test]
fn the_next_takes_over_from_one_that_is_silent() {
    let (cluster, mut all) = settle();
    // The one whose turn it is called the roll, and is never heard of again.
    let [leader, other, third] = all.as_mut_slice() else { panic!("there are three") };
    cluster.play(contribute(&cluster, &[1, 2, 3]));
    assert!(
        cluster.play(within(&cluster.clock, Duration::from_millis(1), close(leader))).is_none()
    );
    let start = cluster.now();
    let (second, last) = cluster.play(join(close(other), close(third)));
    assert_eq!(second.manifest, last.manifest);
    assert_eq!(second.manifest.basis().proposer, cluster_turn(&cluster, 1));
    let elapsed = cluster.now().since(start);
    assert!((RULES.takeover..RULES.takeover + SECOND * 3).contains(&elapsed), "{elapsed:?}");
}

fn cluster_turn(cluster: &Cluster, turn: usize) -> covey_comms::primitives::PeerId {
    cluster.run.description().validator_set.turns(Round(1)).nth(turn).unwrap()
}

#[test]
fn a_verdict_that_nobody_else_finds_is_refused_by_name_and_the_next_proposes_at_once() {
    let (cluster, mut all) = settle();
    let [dishonest, other, third] = all.as_mut_slice() else { panic!("there are three") };
    cluster.play(contribute(&cluster, &[1, 2, 3]));
    let start = cluster.now();
    // The first to look is the first to call the roll.
    let (_, second, last) =
        cluster.play(join3(close_with_bias(dishonest, -0.5), close(other), close(third)));
    assert_eq!(second.manifest, last.manifest);
    assert_eq!(included(&second.manifest), [1, 2, 3]);
    assert_eq!(second.manifest.basis().proposer, cluster_turn(&cluster, 1));
    assert!(
        cluster.now().since(start) < RULES.takeover,
        "nobody waits for a proposer that was refused"
    );
    let votes = cluster.play(cluster.run.votes(Round(1), second.manifest.previous())).unwrap();
    let rejections: Vec<_> = votes[&cluster_turn(&cluster, 0)].values().collect();
    let names_losses =
        |vote: &&&Vote| matches!(vote, Vote::Refuses { reason } if reason.contains("measurements"));
    assert_eq!(rejections.iter().filter(names_losses).count(), 2, "{rejections:?}");
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
    let (cluster, mut all) = settle();
    let leader = cluster_turn(&cluster, 0);
    let hidden = Key::Delta(Round(1), peer(3));
    let run = cluster.through(Blind { inner: cluster.bucket.clone(), hidden });
    let identity = validators().into_iter().find(|identity| identity.peer() == leader).unwrap();
    let light_client = LightClient::resume(run, cluster.light_client().position());
    let mut blind = cluster.play(Validator::open(light_client, identity)).unwrap();
    cluster.play(contribute(&cluster, &[1, 2, 3]));
    let [_, other, third] = all.as_mut_slice() else { panic!("there are three") };
    let others = async {
        // After the blind one, so that its roll is among those that are used.
        cluster.sleep(Duration::from_millis(1)).await;
        join(close(other), close(third)).await
    };
    // In the end it cannot follow what the others decided.
    let (mut scales, interrupt) = (Scales::default(), AtomicBool::new(false));
    let blind = within(
        &cluster.clock,
        RULES.reveal * 3,
        blind.close_round(OUTER, SECOND, &mut scales, &interrupt),
    );
    let (_, (second, last)) = cluster.play(join(blind, others));
    assert_eq!(second.manifest, last.manifest);
    assert_eq!(included(&second.manifest), [1, 2, 3]);
    assert_ne!(second.manifest.basis().proposer, leader);
}

#[test]
fn one_validator_alone_decides_nothing() {
    let (cluster, mut all) = settle();
    cluster.play(contribute(&cluster, &[1, 2, 3]));
    assert!(
        cluster.play(within(&cluster.clock, RULES.takeover * 10, close(&mut all[0]))).is_none()
    );
    let (mut one, mut other) = (all.remove(0), all.remove(0));
    let (first, second) = cluster.play(join(close(&mut one), close(&mut other)));
    assert_eq!(first.manifest, second.manifest);
}

#[test]
fn a_validator_that_is_killed_between_roll_and_verdict_keeps_its_word() {
    let (cluster, all) = settle();
    drop(all);
    cluster.play(contribute(&cluster, &[1, 2, 3]));
    let turns: Vec<_> = cluster.run.description().validator_set.turns(Round(1)).collect();
    let mut steady = cluster.validator_named(turns[2]);
    let lives = async {
        loop {
            let light_client = cluster.light_client_now().await;
            let identity =
                validators().into_iter().find(|identity| identity.peer() == turns[0]).unwrap();
            let mut leader = Validator::open(light_client, identity).await.unwrap();
            if let Some(closed) = within(&cluster.clock, SECOND * 2, close(&mut leader)).await {
                return closed;
            }
        }
    };
    let closed = cluster.play(async {
        match select(Box::pin(close(&mut steady)), Box::pin(lives)).await {
            futures_util::future::Either::Left((closed, _)) => closed,
            futures_util::future::Either::Right((closed, _)) => closed,
        }
    });
    assert_eq!(included(&closed.manifest), [1, 2, 3]);
}
