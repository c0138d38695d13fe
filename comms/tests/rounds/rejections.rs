//! Refused deltas: each has its reason, and none of them stops the round.

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use covey_comms::bucket::Bucket;
use covey_comms::bucket::decorators::{FaultRates, Faulty};
use covey_comms::history::LightClient;
use covey_comms::objects::envelope::{Envelope, Kind, Subject};
use covey_comms::objects::{Exclusion, Key, Lineage};
use covey_comms::participants::validator::Validator;
use covey_comms::primitives::{Digest, Keypair, Round, RunId, within};
use futures_util::future::join;

use crate::cluster::{
    Cluster, OUTER, RULES, SECOND, TestEvaluator, commit_and_publish, creator_key, delta, excluded,
    identity, included, peer,
};

fn put(cluster: &Cluster, key: Key, object: Bytes) {
    assert!(cluster.play(cluster.bucket.put_new(&key, object)).unwrap().is_stored());
}

/// The reason in the manifest for an object of peer 3, built from the correct subject and key pair.
fn reason_for(build: impl Fn(Subject, Keypair) -> Bytes) -> Option<Exclusion> {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    cluster.heartbeats(&[1, 2, 3]);
    cluster.deliver(&[1, 2]);
    let light_client = cluster.light_client();
    let subject = Subject {
        run: cluster.run.id(),
        round: light_client.next(),
        kind: Kind::Delta,
        base: light_client.head(),
    };
    cluster
        .play(cluster.client(3).commit(light_client.next(), light_client.head(), &delta(3)))
        .unwrap();
    put(&cluster, Key::Delta(Round(1), peer(3)), build(subject, identity(3)));
    let start = cluster.now();
    let manifest = cluster.close(&mut validator).manifest;
    assert!(cluster.now().since(start) < RULES.deadline, "a refused delta is not waited for");
    assert_eq!(validator.light_client().next(), Round(2));
    manifest.excluded().get(&peer(3)).copied()
}

fn sealed(subject: Subject, author: &Keypair) -> Bytes {
    Envelope::seal(author, subject, delta(3)).to_bytes()
}

#[test]
fn each_wrong_header_has_its_own_reason() {
    let genesis = |run| Lineage::genesis(run);
    let other = RunId::of(b"another run");
    assert_eq!(reason_for(|subject, author| sealed(subject, &author)), None);
    let of = |change: fn(Subject) -> Subject| {
        reason_for(move |subject, author| sealed(change(subject), &author))
    };
    assert_eq!(
        reason_for(|subject, author| sealed(Subject { run: other, ..subject }, &author)),
        Some(Exclusion::WrongRun)
    );
    assert_eq!(
        reason_for(|subject, author| sealed(
            Subject { base: genesis(subject.run), ..subject },
            &author
        )),
        Some(Exclusion::WrongBase)
    );
    assert_eq!(of(|subject| Subject { round: Round(0), ..subject }), Some(Exclusion::WrongRound));
    assert_eq!(
        of(|subject| Subject { kind: Kind::JoinRequest, ..subject }),
        Some(Exclusion::WrongRound)
    );
    assert_eq!(
        reason_for(|subject, _| sealed(subject, &identity(2))),
        Some(Exclusion::BadSignature)
    );
}

#[test]
fn damaged_objects_have_their_own_reasons() {
    let cut =
        |length: usize| move |subject, author: Keypair| sealed(subject, &author).slice(..length);
    let flip = |place: usize| {
        move |subject, author: Keypair| {
            let mut object = sealed(subject, &author).to_vec();
            object[place] ^= 1;
            Bytes::from(object)
        }
    };
    assert_eq!(reason_for(cut(0)), Some(Exclusion::Damaged));
    assert_eq!(reason_for(cut(100)), Some(Exclusion::Damaged));
    assert_eq!(reason_for(cut(214)), Some(Exclusion::Damaged));
    assert_eq!(reason_for(flip(0)), Some(Exclusion::Damaged));
    assert_eq!(reason_for(flip(214)), Some(Exclusion::Damaged));
    assert_eq!(reason_for(flip(4)), Some(Exclusion::Malformed));
    assert_eq!(reason_for(flip(116)), Some(Exclusion::BadSignature));
    assert_eq!(reason_for(flip(150)), Some(Exclusion::BadSignature));
    let trailing =
        |subject, author: Keypair| [&sealed(subject, &author)[..], b"more"].concat().into();
    assert_eq!(reason_for(trailing), Some(Exclusion::Damaged));
}

#[test]
fn a_delta_that_differs_from_its_commitment_is_refused() {
    let other = |subject, author: Keypair| Envelope::seal(&author, subject, delta(4)).to_bytes();
    assert_eq!(reason_for(other), Some(Exclusion::Mismatched));
}

/// The manifest repeats the committed length and every reader checks it: a delta with the right
/// digest and another length would stop every reader if a validator included it.
#[test]
fn a_delta_with_another_length_than_committed_is_refused() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    cluster.heartbeats(&[1, 2, 3]);
    cluster.deliver(&[1, 2]);
    let light_client = cluster.light_client();
    let (run, round, base) = (cluster.run.id(), light_client.next(), light_client.head());
    let payload = delta(3);
    let wrong_length = (payload.len() as u64 + 1).to_le_bytes();
    let commitment = [Digest::of(&payload).as_bytes(), &wrong_length[..]].concat();
    let subject = Subject { run, round, kind: Kind::Commitment, base };
    let object = Envelope::seal(&identity(3), subject, commitment.into()).to_bytes();
    put(&cluster, Key::Commitment(round, peer(3)), object);
    let subject = Subject { kind: Kind::Delta, ..subject };
    put(&cluster, Key::Delta(round, peer(3)), sealed(subject, &identity(3)));
    let manifest = cluster.close(&mut validator).manifest;
    assert_eq!(excluded(&manifest), [(3, Exclusion::Mismatched)]);
    cluster.play(cluster.light_client().gather(&manifest)).unwrap();
}

#[test]
fn a_delta_over_the_length_limit_is_refused() {
    for (length, expected) in
        [(100, None), (101, Some(Exclusion::TooLarge)), (100_000, Some(Exclusion::TooLarge))]
    {
        let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
        cluster.heartbeats(&[1, 2, 3]);
        cluster.deliver(&[1, 2]);
        let payload = Bytes::from(vec![1; length]);
        cluster.play(commit_and_publish(&cluster.client(3), &cluster.light_client(), payload));
        let manifest = cluster.close(&mut validator).manifest;
        assert_eq!(manifest.excluded().get(&peer(3)).copied(), expected, "{length}");
    }
    let announced = |subject, author: Keypair| {
        Envelope::seal(&author, subject, Bytes::from(vec![1; 101])).to_bytes().slice(..250)
    };
    assert_eq!(reason_for(announced), Some(Exclusion::TooLarge));
}

#[test]
fn the_evaluator_admits_each_delta_once_and_can_refuse_it() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3, 4]);
    cluster.heartbeats(&[1, 2, 3, 4]);
    cluster.deliver(&[1, 2]);
    cluster.play(commit_and_publish(
        &cluster.client(3),
        &cluster.light_client(),
        Bytes::from_static(b"x"),
    ));
    let mut evaluator = TestEvaluator::default();
    let interrupt = AtomicBool::new(false);
    let closed = cluster
        .play(validator.close_round(OUTER, SECOND, &mut evaluator, &interrupt))
        .unwrap()
        .unwrap();
    assert_eq!(included(&closed.manifest), [1, 2]);
    assert_eq!(excluded(&closed.manifest), [(3, Exclusion::NotFinite), (4, Exclusion::Missing)]);
    evaluator.admitted.sort();
    let mut expected = [1, 2, 3].map(peer);
    expected.sort();
    assert_eq!(evaluator.admitted, expected);
}

#[test]
fn an_unknown_peer_is_excluded_and_gets_no_slot() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2]);
    cluster.deliver(&[3]);
    let manifest = cluster.round(&mut validator, &[1, 2]);
    assert_eq!(
        (included(&manifest), excluded(&manifest)),
        (vec![1, 2], vec![(3, Exclusion::UnknownPeer)])
    );
    assert_eq!(validator.light_client().slot(peer(3)), None);
    assert_eq!(validator.light_client().slot(peer(1)).unwrap().num_slots, 2);
    cluster.deliver(&[3]);
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2])), [1, 2]);
}

#[test]
fn a_replaced_delta_is_refused_as_mismatched() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3, 4]);
    cluster.heartbeats(&[1, 2, 3, 4]);
    cluster.deliver(&[1, 2, 3]);
    assert!(
        cluster
            .play(within(&cluster.clock, SECOND * 3, crate::cluster::close(&mut validator)))
            .is_none()
    );
    let light_client = cluster.light_client();
    // As on a store that allows to overwrite.
    for (number, payload) in [(3, Bytes::from_static(b"second thoughts")), (2, delta(2))] {
        cluster.play(cluster.bucket.delete(&Key::Delta(Round(1), peer(number)))).unwrap();
        let client = cluster.client(number);
        assert!(
            cluster.play(client.publish(light_client.next(), light_client.head(), payload)).is_ok()
        );
    }
    cluster.deliver(&[4]);
    let manifest = cluster.close(&mut validator).manifest;
    assert_eq!(
        (included(&manifest), excluded(&manifest)),
        (vec![1, 2, 4], vec![(3, Exclusion::Mismatched)])
    );
}

#[test]
fn a_peer_that_commits_without_a_delta_is_expected_and_then_withheld() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    cluster.heartbeats(&[1, 2, 3]);
    cluster.deliver(&[1, 2]);
    let light_client = cluster.light_client();
    cluster
        .play(cluster.client(3).commit(light_client.next(), light_client.head(), &delta(3)))
        .unwrap();
    let start = cluster.now();
    let manifest = cluster.close(&mut validator).manifest;
    assert_eq!(cluster.now().since(start), RULES.reveal);
    assert_eq!(
        (included(&manifest), excluded(&manifest)),
        (vec![1, 2], vec![(3, Exclusion::Withheld)])
    );
}

#[test]
fn a_commitment_after_the_first_reveal_is_too_late() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    cluster.heartbeats(&[1, 2, 3]);
    let light_client = cluster.light_client();
    for number in [1, 2] {
        cluster
            .play(cluster.client(number).commit(
                light_client.next(),
                light_client.head(),
                &delta(number),
            ))
            .unwrap();
        assert!(
            !cluster
                .play(cluster.client(number).may_reveal(light_client.next(), light_client.head()))
                .unwrap()
        );
    }
    let copycat = async {
        let copy = cluster.client(3);
        while !copy.may_reveal(light_client.next(), light_client.head()).await.unwrap() {
            cluster.sleep(SECOND).await;
        }
        for number in [1, 2] {
            let published = cluster
                .client(number)
                .publish(light_client.next(), light_client.head(), delta(number))
                .await;
            assert!(published.is_ok());
        }
        commit_and_publish(&copy, &light_client, delta(1)).await;
    };
    let (closed, ()) = cluster.play(join(crate::cluster::close(&mut validator), copycat));
    assert_eq!(included(&closed.manifest), [1, 2]);
    assert!(!closed.manifest.included().contains_key(&peer(3)));
}

#[test]
fn truncated_downloads_are_repeated_and_exclude_no_peer() {
    for seed in 0..30 {
        let (cluster, _) = Cluster::with_peers(RULES, &[1, 2, 3]);
        let rates = FaultRates { truncated_bodies: 0.2, ..FaultRates::default() };
        let faulty = Faulty::new(
            cluster.bucket.clone(),
            std::sync::Arc::new(cluster.clock.clone()),
            rates,
            seed,
        );
        let light_client =
            LightClient::resume(cluster.through(faulty), cluster.light_client().position());
        let mut validator = cluster.play(Validator::open(light_client, creator_key())).unwrap();
        assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3], "seed {seed}");
    }
}
