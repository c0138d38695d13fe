//! Every bad delta has its own reason, and none of them stops the round.

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use covey_comms::bucket::Bucket;
use covey_comms::bucket::decorators::{FaultRates, Faulty};
use covey_comms::history::LightClient;
use covey_comms::objects::envelope::{Envelope, Kind, Subject};
use covey_comms::objects::{Exclusion, Key, Lineage};
use covey_comms::participants::validator::Validator;
use covey_comms::primitives::{Keypair, Round, RunId, within};
use futures_util::future::join;

use crate::village::{OUTER, RULES, SECOND, Scales, Village, delta, excluded, identity, included, mayor, peer, say};

fn put(village: &Village, key: Key, object: Bytes) {
    assert!(village.play(village.bucket.put_new(&key, object)).unwrap().is_stored());
}

/// What the manifest says of an object under the key of peer 3, made from what would be right.
fn verdict(spoil: impl Fn(Subject, Keypair) -> Bytes) -> Option<Exclusion> {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    village.begin(&[1, 2, 3]);
    village.deliver(&[1, 2]);
    let follower = village.follower();
    let subject = Subject { run: village.run.id(), round: follower.next(), kind: Kind::Delta, base: follower.head() };
    village.play(village.member(3).commit(follower.next(), follower.head(), &delta(3))).unwrap();
    put(&village, Key::Delta(Round(1), peer(3)), spoil(subject, identity(3)));
    let start = village.now();
    let manifest = village.close(&mut validator).manifest;
    assert!(village.now().since(start) < RULES.deadline, "nobody waits for what was refused");
    assert_eq!(validator.follower().next(), Round(2));
    manifest.excluded().get(&peer(3)).copied()
}

fn sealed(subject: Subject, author: &Keypair) -> Bytes {
    Envelope::seal(author, subject, delta(3)).to_bytes()
}

#[test]
fn every_bad_delta_has_its_own_reason() {
    let genesis = |run| Lineage::genesis(run);
    let other = RunId::of(b"another run");
    assert_eq!(verdict(|subject, author| sealed(subject, &author)), None);
    let of = |change: fn(Subject) -> Subject| verdict(move |subject, author| sealed(change(subject), &author));
    assert_eq!(
        verdict(|subject, author| sealed(Subject { run: other, ..subject }, &author)),
        Some(Exclusion::WrongRun)
    );
    assert_eq!(
        verdict(|subject, author| sealed(Subject { base: genesis(subject.run), ..subject }, &author)),
        Some(Exclusion::WrongBase)
    );
    assert_eq!(of(|subject| Subject { round: Round(0), ..subject }), Some(Exclusion::WrongRound));
    assert_eq!(of(|subject| Subject { kind: Kind::Hello, ..subject }), Some(Exclusion::WrongRound));
    assert_eq!(verdict(|subject, _| sealed(subject, &identity(2))), Some(Exclusion::BadSignature));
}

#[test]
fn damage_has_its_own_reason() {
    let cut = |length: usize| move |subject, author: Keypair| sealed(subject, &author).slice(..length);
    let flip = |place: usize| {
        move |subject, author: Keypair| {
            let mut object = sealed(subject, &author).to_vec();
            object[place] ^= 1;
            Bytes::from(object)
        }
    };
    assert_eq!(verdict(cut(0)), Some(Exclusion::Damaged));
    assert_eq!(verdict(cut(100)), Some(Exclusion::Damaged));
    assert_eq!(verdict(cut(214)), Some(Exclusion::Damaged));
    assert_eq!(verdict(flip(0)), Some(Exclusion::Damaged));
    assert_eq!(verdict(flip(214)), Some(Exclusion::Damaged));
    assert_eq!(verdict(flip(4)), Some(Exclusion::Malformed));
    assert_eq!(verdict(flip(116)), Some(Exclusion::BadSignature));
    assert_eq!(verdict(flip(150)), Some(Exclusion::BadSignature));
    let trailing = |subject, author: Keypair| [&sealed(subject, &author)[..], b"more"].concat().into();
    assert_eq!(verdict(trailing), Some(Exclusion::Damaged));
}

#[test]
fn another_delta_than_was_committed_is_no_delta() {
    let other = |subject, author: Keypair| Envelope::seal(&author, subject, delta(4)).to_bytes();
    assert_eq!(verdict(other), Some(Exclusion::Mismatched));
}

#[test]
fn a_delta_beyond_the_limit_is_refused_by_its_length() {
    for (length, expected) in [(100, None), (101, Some(Exclusion::TooLarge)), (100_000, Some(Exclusion::TooLarge))] {
        let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
        village.begin(&[1, 2, 3]);
        village.deliver(&[1, 2]);
        let payload = Bytes::from(vec![1; length]);
        village.play(say(&village.member(3), &village.follower(), payload));
        let manifest = village.close(&mut validator).manifest;
        assert_eq!(manifest.excluded().get(&peer(3)).copied(), expected, "{length}");
    }
    let announced =
        |subject, author: Keypair| Envelope::seal(&author, subject, Bytes::from(vec![1; 101])).to_bytes().slice(..250);
    assert_eq!(verdict(announced), Some(Exclusion::TooLarge));
}

#[test]
fn the_examiner_has_a_word_and_is_asked_once_per_delta() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3, 4]);
    village.begin(&[1, 2, 3, 4]);
    village.deliver(&[1, 2]);
    village.play(say(&village.member(3), &village.follower(), Bytes::from_static(b"x")));
    let mut scales = Scales::default();
    let interrupt = AtomicBool::new(false);
    let closed = village.play(validator.close_round(OUTER, SECOND, &mut scales, &interrupt)).unwrap().unwrap();
    assert_eq!(included(&closed.manifest), [1, 2]);
    assert_eq!(excluded(&closed.manifest), [(3, Exclusion::NotFinite), (4, Exclusion::Missing)]);
    scales.admitted.sort();
    let mut expected = [1, 2, 3].map(peer);
    expected.sort();
    assert_eq!(scales.admitted, expected);
}

#[test]
fn a_stranger_is_named_and_gets_no_seat() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2]);
    village.deliver(&[3]);
    let manifest = village.round(&mut validator, &[1, 2]);
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], vec![(3, Exclusion::UnknownPeer)]));
    assert_eq!(validator.follower().seat(peer(3)), None);
    assert_eq!(validator.follower().seat(peer(1)).unwrap().of, 2);
    village.deliver(&[3]);
    assert_eq!(included(&village.round(&mut validator, &[1, 2])), [1, 2]);
}

#[test]
fn who_replaces_its_delta_is_found_out() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3, 4]);
    village.begin(&[1, 2, 3, 4]);
    village.deliver(&[1, 2, 3]);
    assert!(village.play(within(&village.clock, SECOND * 3, crate::village::close(&mut validator))).is_none());
    let follower = village.follower();
    // A store that overwrites, seen from outside.
    for (number, payload) in [(3, Bytes::from_static(b"second thoughts")), (2, delta(2))] {
        village.play(village.bucket.delete(&Key::Delta(Round(1), peer(number)))).unwrap();
        let member = village.member(number);
        assert!(village.play(member.publish(follower.next(), follower.head(), payload)).is_ok());
    }
    village.deliver(&[4]);
    let manifest = village.close(&mut validator).manifest;
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2, 4], vec![(3, Exclusion::Mismatched)]));
}

#[test]
fn who_commits_and_delivers_nothing_is_waited_for_and_named() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    village.begin(&[1, 2, 3]);
    village.deliver(&[1, 2]);
    let follower = village.follower();
    village.play(village.member(3).commit(follower.next(), follower.head(), &delta(3))).unwrap();
    let start = village.now();
    let manifest = village.close(&mut validator).manifest;
    assert_eq!(village.now().since(start), RULES.reveal);
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], vec![(3, Exclusion::Withheld)]));
}

#[test]
fn who_waits_for_others_to_reveal_commits_too_late() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    village.begin(&[1, 2, 3]);
    let follower = village.follower();
    for number in [1, 2] {
        village.play(village.member(number).commit(follower.next(), follower.head(), &delta(number))).unwrap();
        assert!(!village.play(village.member(number).may_reveal(follower.next(), follower.head())).unwrap());
    }
    let copycat = async {
        let copy = village.member(3);
        while !copy.may_reveal(follower.next(), follower.head()).await.unwrap() {
            village.sleep(SECOND).await;
        }
        for number in [1, 2] {
            let published = village.member(number).publish(follower.next(), follower.head(), delta(number)).await;
            assert!(published.is_ok());
        }
        say(&copy, &follower, delta(1)).await;
    };
    let (closed, ()) = village.play(join(crate::village::close(&mut validator), copycat));
    assert_eq!(included(&closed.manifest), [1, 2]);
    assert!(!closed.manifest.included().contains_key(&peer(3)));
}

#[test]
fn damage_on_the_way_is_not_the_peers_fault() {
    for seed in 0..30 {
        let (village, _) = Village::inhabited(RULES, &[1, 2, 3]);
        let rates = FaultRates { truncated_bodies: 0.2, ..FaultRates::default() };
        let faulty = Faulty::new(village.bucket.clone(), std::sync::Arc::new(village.clock.clone()), rates, seed);
        let follower = LightClient::resume(village.through(faulty), village.follower().position());
        let mut validator = village.play(Validator::open(follower, mayor())).unwrap();
        assert_eq!(included(&village.round(&mut validator, &[1, 2, 3])), [1, 2, 3], "seed {seed}");
    }
}
