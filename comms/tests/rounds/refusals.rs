//! Every bad delta has its own reason, and none of them stops the round.

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use covey_comms::{
    Bucket, Coordinator, Envelope, Exclusion, FaultRates, Faulty, Follower, Identity, Key, Kind, Lineage, PeerId,
    Round, RunId, Subject, within,
};

use crate::village::{OUTER, RULES, SECOND, Village, delta, excluded, identity, included, mayor, peer};

fn put(village: &Village, key: Key, object: Bytes) {
    assert!(village.play(village.bucket.put_new(&key, object)).unwrap().is_stored());
}

/// What the manifest says of an object under the key of peer 3, made from what would be right.
fn verdict(spoil: impl Fn(Subject, Identity) -> Bytes) -> Option<Exclusion> {
    let (village, mut coordinator) = Village::inhabited(RULES, &[1, 2, 3]);
    village.begin(&[1, 2, 3]);
    village.deliver(&[1, 2]);
    let follower = village.follower();
    let subject = Subject { run: village.run.id(), round: follower.next(), kind: Kind::Delta, base: follower.head() };
    put(&village, Key::Delta(Round(1), peer(3)), spoil(subject, identity(3)));
    let start = village.now();
    let manifest = village.close(&mut coordinator).manifest;
    assert!(village.now().since(start) < RULES.deadline, "nobody waits for what was refused");
    assert_eq!(coordinator.follower().next(), Round(2));
    manifest.excluded().get(&peer(3)).copied()
}

fn sealed(subject: Subject, author: &Identity) -> Bytes {
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
    let cut = |length: usize| move |subject, author: Identity| sealed(subject, &author).slice(..length);
    let flip = |place: usize| {
        move |subject, author: Identity| {
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
    let trailing = |subject, author: Identity| [&sealed(subject, &author)[..], b"more"].concat().into();
    assert_eq!(verdict(trailing), Some(Exclusion::Damaged));
}

#[test]
fn a_delta_beyond_the_limit_is_refused_by_its_length() {
    let long = |length| {
        move |subject, author: Identity| Envelope::seal(&author, subject, Bytes::from(vec![1; length])).to_bytes()
    };
    assert_eq!(verdict(long(100)), None);
    assert_eq!(verdict(long(101)), Some(Exclusion::TooLarge));
    let announced = |subject, author: Identity| long(101)(subject, author).slice(..250);
    assert_eq!(verdict(announced), Some(Exclusion::TooLarge));
}

#[test]
fn the_judge_has_the_last_word_and_is_asked_once_per_delta() {
    let (village, mut coordinator) = Village::inhabited(RULES, &[1, 2, 3, 4, 5]);
    village.begin(&[1, 2, 3, 4, 5]);
    village.deliver(&[1, 2, 3, 4]);
    let mut asked = Vec::new();
    let mut judge = |peer_: PeerId, payload: &Bytes| {
        asked.push(peer_);
        match payload[0] {
            3 => Err(Exclusion::NotFinite),
            4 => Err(Exclusion::Malformed),
            _ => Ok(()),
        }
    };
    let interrupt = AtomicBool::new(false);
    let closed = village.play(coordinator.close_round(OUTER, SECOND, &mut judge, &interrupt)).unwrap().unwrap();
    assert_eq!(included(&closed.manifest), [1, 2]);
    let reasons = [(3, Exclusion::NotFinite), (4, Exclusion::Malformed), (5, Exclusion::Missing)];
    assert_eq!(excluded(&closed.manifest), reasons);
    asked.sort();
    let mut expected = [1, 2, 3, 4].map(peer);
    expected.sort();
    assert_eq!(asked, expected);
}

#[test]
fn a_stranger_is_named_and_gets_no_seat() {
    let (village, mut coordinator) = Village::inhabited(RULES, &[1, 2]);
    village.deliver(&[3]);
    let manifest = village.round(&mut coordinator, &[1, 2]);
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], vec![(3, Exclusion::UnknownPeer)]));
    assert_eq!(coordinator.follower().seat(peer(3)), None);
    assert_eq!(coordinator.follower().seat(peer(1)).unwrap().of, 2);
    village.deliver(&[3]);
    assert_eq!(included(&village.round(&mut coordinator, &[1, 2])), [1, 2]);
}

#[test]
fn who_replaces_its_delta_is_found_out() {
    let (village, mut coordinator) = Village::inhabited(RULES, &[1, 2, 3, 4]);
    village.begin(&[1, 2, 3, 4]);
    village.deliver(&[1, 2, 3]);
    assert!(village.play(within(&village.clock, SECOND * 3, crate::village::close(&mut coordinator))).is_none());
    let follower = village.follower();
    // A store that overwrites, seen from outside.
    for (number, payload) in [(3, Bytes::from_static(b"second thoughts")), (2, delta(2))] {
        village.play(village.bucket.delete(&Key::Delta(Round(1), peer(number)))).unwrap();
        let member = village.member(number);
        assert!(village.play(member.publish(follower.next(), follower.head(), payload)).is_ok());
    }
    village.deliver(&[4]);
    let manifest = village.close(&mut coordinator).manifest;
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2, 4], vec![(3, Exclusion::Replayed)]));
}

#[test]
fn damage_on_the_way_is_not_the_peers_fault() {
    for seed in 0..30 {
        let (village, _) = Village::inhabited(RULES, &[1, 2, 3]);
        let rates = FaultRates { truncated_bodies: 0.2, ..FaultRates::default() };
        let faulty = Faulty::new(village.bucket.clone(), std::sync::Arc::new(village.clock.clone()), rates, seed);
        let follower = Follower::resume(village.through(faulty), village.follower().position());
        let mut coordinator = village.play(Coordinator::open(follower, mayor())).unwrap();
        assert_eq!(included(&village.round(&mut coordinator, &[1, 2, 3])), [1, 2, 3], "seed {seed}");
    }
}
