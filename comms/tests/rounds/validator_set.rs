//! Rounds with several validators, some of them silent or dishonest.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use covey_comms::agreement::{ValidatorSet, Vote};
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::bucket::{Bucket, BucketError, Listed, Put};
use covey_comms::history::LightClient;
use covey_comms::objects::{Exclusion, Key, Manifest, Prefix};
use covey_comms::participants::validator::{Closed, Validator};
use covey_comms::primitives::{Keypair, Round, within};
use futures_util::future::{join, join3, select};

use crate::cluster::{
    Cluster, OUTER, RULES, SECOND, TestEvaluator, close, commit_and_publish, description, excluded,
    included, peer,
};

/// The key pairs of three validators, two of which must agree.
fn validators() -> [Keypair; 3] {
    [91, 92, 93].map(|number| Keypair::from_secret(&[number; 32]))
}

/// A run with three validators in the order of their turns, three active peers, and round 1 open.
fn three_validators() -> (Cluster, Vec<Validator>) {
    let validator_set =
        ValidatorSet::new(validators().iter().map(Keypair::peer).collect(), 2).unwrap();
    let cluster = Cluster::create(&covey_comms::run::Description {
        validator_set: validator_set.clone(),
        ..description(RULES)
    });
    [1, 2, 3]
        .into_iter()
        .for_each(|number| cluster.play(cluster.client(number).join_request()).unwrap());
    let mut all: Vec<Validator> =
        validator_set.turns(Round(1)).map(|turn| cluster.validator_of(turn)).collect();
    let [one, other, third] = all.as_mut_slice() else { panic!("the run has three validators") };
    cluster.play(join3(close(one), close(other), close(third)));
    (cluster, all)
}

impl Cluster {
    fn validator_of(&self, peer: covey_comms::primitives::PeerId) -> Validator {
        let identity = validators().into_iter().find(|identity| identity.peer() == peer).unwrap();
        self.play(Validator::open(self.light_client(), identity)).unwrap()
    }
}

/// Sends heartbeats, commits and publishes for some peers.
async fn contribute(cluster: &Cluster, numbers: &[u8]) {
    let light_client = cluster.light_client_now().await;
    for number in numbers {
        let client = cluster.client(*number);
        client.heartbeat(light_client.next(), light_client.head()).await.unwrap();
        commit_and_publish(&client, &light_client, crate::cluster::delta(*number)).await;
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
    let mut evaluator = TestEvaluator { bias, ..TestEvaluator::default() };
    validator
        .close_round(OUTER, SECOND, &mut evaluator, &AtomicBool::new(false))
        .await
        .unwrap()
        .unwrap()
}

/// The number of signatures under the manifest of a round.
fn num_signatures(cluster: &Cluster, manifest: &Manifest) -> usize {
    let certificate =
        cluster.play(cluster.run.certificate(manifest.round(), Some(manifest.previous()))).unwrap();
    assert_eq!(certificate.manifest(), manifest);
    certificate.signatures().len()
}

#[test]
fn validators_agree_and_two_of_them_sign() {
    let (cluster, mut all) = three_validators();
    let [one, other, third] = all.as_mut_slice() else { panic!("the run has three validators") };
    for _ in 0..4 {
        cluster.play(contribute(&cluster, &[1, 2, 3]));
        let (first, second, last) = cluster.play(join3(close(one), close(other), close(third)));
        assert_eq!((&first.manifest, &first.manifest), (&second.manifest, &last.manifest));
        assert_eq!(included(&first.manifest), [1, 2, 3]);
        assert!(num_signatures(&cluster, &first.manifest) >= 2);
    }
}

#[test]
fn a_joining_peer_that_already_committed_is_named_once() {
    let (cluster, mut all) = three_validators();
    let [one, other, third] = all.as_mut_slice() else { panic!("the run has three validators") };
    cluster.play(cluster.client(4).join_request()).unwrap();
    cluster.play(contribute(&cluster, &[1, 2, 3, 4]));
    let closed = join3(close(one), close(other), close(third));
    // Validators that reject each other's verdicts would never close the round.
    let closed = cluster.play(within(&cluster.clock, RULES.takeover * 10, closed));
    let (first, second, last) = closed.expect("validators agree on a joining peer");
    assert_eq!((&first.manifest, &first.manifest), (&second.manifest, &last.manifest));
    assert_eq!(included(&first.manifest), [1, 2, 3]);
    assert_eq!(excluded(&first.manifest), [(4, Exclusion::Newcomer)]);
    assert_eq!(first.manifest.basis().proposer, cluster_turn(&cluster, 0));
    let verdict = cluster.play(cluster.run.verdict_of(&first.manifest)).unwrap();
    assert_eq!((verdict.inputs.joining, verdict.inputs.unknown), ([peer(4)].into(), [].into()));
}

#[test]
fn a_silent_proposer_loses_its_turn_after_the_timeout() {
    let (cluster, mut all) = three_validators();
    // The proposer publishes its commitment list and then stops.
    let [leader, other, third] = all.as_mut_slice() else { panic!("the run has three validators") };
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
fn a_verdict_with_wrong_losses_is_refused_and_the_next_validator_proposes_at_once() {
    let (cluster, mut all) = three_validators();
    let [dishonest, other, third] = all.as_mut_slice() else {
        panic!("the run has three validators")
    };
    cluster.play(contribute(&cluster, &[1, 2, 3]));
    let start = cluster.now();
    // The first to poll is the first to publish its list.
    let (_, second, last) =
        cluster.play(join3(close_with_bias(dishonest, -0.5), close(other), close(third)));
    assert_eq!(second.manifest, last.manifest);
    assert_eq!(included(&second.manifest), [1, 2, 3]);
    assert_eq!(second.manifest.basis().proposer, cluster_turn(&cluster, 1));
    assert!(
        cluster.now().since(start) < RULES.takeover,
        "no validator waits for a refused proposer"
    );
    let votes = cluster.play(cluster.run.votes(Round(1), second.manifest.previous())).unwrap();
    let rejections: Vec<_> = votes[&cluster_turn(&cluster, 0)].values().collect();
    let names_losses =
        |vote: &&&Vote| matches!(vote, Vote::Refuses { reason } if reason.contains("measurements"));
    assert_eq!(rejections.iter().filter(names_losses).count(), 2, "{rejections:?}");
}

/// A bucket that hides one object.
#[derive(Debug)]
struct HidingBucket {
    inner: MemoryBucket,
    hidden: Key,
}

#[async_trait]
impl Bucket for HidingBucket {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        if *key == self.hidden {
            return Err(BucketError::NotFound { what: key.to_string() });
        }
        self.inner.get(key, limit).await
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
fn a_proposer_that_omits_a_delivered_delta_is_refused() {
    let (cluster, mut all) = three_validators();
    let leader = cluster_turn(&cluster, 0);
    let hidden = Key::Delta(Round(1), peer(3));
    let run = cluster.through(HidingBucket { inner: cluster.bucket.clone(), hidden });
    let identity = validators().into_iter().find(|identity| identity.peer() == leader).unwrap();
    let light_client = LightClient::resume(run, cluster.light_client().position());
    let mut proposer = cluster.play(Validator::open(light_client, identity)).unwrap();
    cluster.play(contribute(&cluster, &[1, 2, 3]));
    let [_, other, third] = all.as_mut_slice() else { panic!("the run has three validators") };
    let others = async {
        // After the proposer, to have its list among those in use.
        cluster.sleep(Duration::from_millis(1)).await;
        join(close(other), close(third)).await
    };
    // The proposer cannot apply the manifest of the others, so its round never ends.
    let (mut evaluator, interrupt) = (TestEvaluator::default(), AtomicBool::new(false));
    let proposer = within(
        &cluster.clock,
        RULES.reveal * 3,
        proposer.close_round(OUTER, SECOND, &mut evaluator, &interrupt),
    );
    let (_, (second, last)) = cluster.play(join(proposer, others));
    assert_eq!(second.manifest, last.manifest);
    assert_eq!(included(&second.manifest), [1, 2, 3]);
    assert_ne!(second.manifest.basis().proposer, leader);
}

#[test]
fn one_of_three_validators_cannot_close_a_round() {
    let (cluster, mut all) = three_validators();
    cluster.play(contribute(&cluster, &[1, 2, 3]));
    assert!(
        cluster.play(within(&cluster.clock, RULES.takeover * 10, close(&mut all[0]))).is_none()
    );
    let (mut one, mut other) = (all.remove(0), all.remove(0));
    let (first, second) = cluster.play(join(close(&mut one), close(&mut other)));
    assert_eq!(first.manifest, second.manifest);
}

#[test]
fn a_validator_that_restarts_after_its_list_reveals_the_pledged_secret() {
    let (cluster, all) = three_validators();
    drop(all);
    cluster.play(contribute(&cluster, &[1, 2, 3]));
    let turns: Vec<_> = cluster.run.description().validator_set.turns(Round(1)).collect();
    let mut steady = cluster.validator_of(turns[2]);
    let restarts = async {
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
        match select(Box::pin(close(&mut steady)), Box::pin(restarts)).await {
            futures_util::future::Either::Left((closed, _)) => closed,
            futures_util::future::Either::Right((closed, _)) => closed,
        }
    });
    assert_eq!(included(&closed.manifest), [1, 2, 3]);
}
