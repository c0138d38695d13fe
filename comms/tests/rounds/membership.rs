//! Who gains and who loses a seat.

use bytes::Bytes;
use covey_comms::history::LightClient;
use covey_comms::objects::Exclusion;
use covey_comms::participants::Published;
use covey_comms::primitives::Digest;
use covey_comms::run::{CommsError, RoundParams};

use crate::village::{RULES, Village, delta, excluded, included, mayor, peer};

#[test]
fn who_says_farewell_counts_once_more_and_is_gone() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    let follower = village.follower();
    village.begin(&[3]);
    village.play(village.member(3).farewell(follower.next(), follower.head())).unwrap();
    assert_eq!(included(&village.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
    let start = village.now();
    let manifest = village.round(&mut validator, &[1, 2]);
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], vec![]));
    assert_eq!(village.now(), start, "nobody waited");
    assert_eq!(validator.follower().seat(peer(3)), None);
}

#[test]
fn who_comes_back_after_a_farewell_is_a_newcomer() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    let follower = village.follower();
    village.play(village.member(3).farewell(follower.next(), follower.head())).unwrap();
    assert_eq!(excluded(&village.round(&mut validator, &[1, 2])), []);
    assert_eq!(excluded(&village.round(&mut validator, &[1, 2])), []);
    village.begin(&[3]);
    assert_eq!(excluded(&village.round(&mut validator, &[1, 2])), [(3, Exclusion::Newcomer)]);
    assert_eq!(included(&village.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn a_peer_that_joins_later_is_named_first_and_contributes_next() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2]);
    village.round(&mut validator, &[1, 2]);
    village.play(village.member(3).hello()).unwrap();
    assert_eq!(excluded(&village.round(&mut validator, &[1, 2])), [(3, Exclusion::Newcomer)]);
    assert_eq!(validator.follower().seat(peer(3)).unwrap().of, 3);
    assert_eq!(included(&village.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn a_run_that_everybody_left_goes_on_with_whoever_comes() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2]);
    village.play(village.member(3).hello()).unwrap();
    village.begin(&[3]);
    let manifest = village.close(&mut validator).manifest;
    assert!(manifest.is_void() && manifest.excluded().contains_key(&peer(3)));
    assert_eq!(included(&village.round(&mut validator, &[3])), [3]);
}

#[test]
fn who_is_silent_too_often_loses_its_seat_and_a_heartbeat_regains_it() {
    let (village, mut validator) = Village::inhabited(RoundParams { patience: 3, ..RULES }, &[1, 2, 3]);
    village.round(&mut validator, &[1, 2, 3]);
    for _ in 0..2 {
        assert_eq!(excluded(&village.round(&mut validator, &[1, 2])), [(3, Exclusion::Missing)]);
        assert!(validator.follower().seat(peer(3)).is_some());
    }
    for _ in 0..5 {
        assert_eq!(excluded(&village.round(&mut validator, &[1, 2])), []);
        validator = village.validator();
    }
    village.begin(&[3]);
    assert_eq!(excluded(&village.round(&mut validator, &[1, 2])), [(3, Exclusion::Newcomer)]);
    assert_eq!(included(&village.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn a_hello_without_any_heartbeat_holds_up_one_round_at_most() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2]);
    village.play(village.member(3).hello()).unwrap();
    let start = village.now();
    for _ in 0..20 {
        assert_eq!(included(&village.round(&mut validator, &[1, 2])), [1, 2]);
    }
    assert_eq!(village.now(), start);
}

#[test]
fn a_second_delta_of_a_round_is_told_of_the_first() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2]);
    let follower = village.follower();
    village.deliver(&[1]);
    let member = village.member(1);
    let publish = |payload| village.play(member.publish(follower.next(), follower.head(), payload));
    assert_eq!(publish(Bytes::from_static(b"other")).unwrap(), Published::Occupied(delta(1)));
    assert_eq!(publish(delta(1)).unwrap(), Published::Stored);
    assert_eq!(village.round(&mut validator, &[2]).included()[&peer(1)].digest, Digest::of(&delta(1)));
}

#[test]
fn seats_are_the_same_from_a_checkpoint() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    village.round(&mut validator, &[1, 2, 3]);
    let known = village.follower();
    let weights = Digest::of(b"now");
    let mayor = mayor();
    let publish =
        village.run.publish_checkpoint(&mayor, known.next(), known.head(), weights, known.outer_steps(), vec![]);
    let checkpoint = village.play(publish).unwrap();
    let joiner = village.play(LightClient::from_checkpoint(village.run.clone(), &checkpoint)).unwrap();
    assert_eq!(joiner.position(), known.position());
    let forged = covey_comms::objects::CheckpointDescription {
        lineage: LightClient::genesis(village.run.clone()).head(),
        ..checkpoint
    };
    let error = village.play(LightClient::from_checkpoint(village.run.clone(), &forged)).unwrap_err();
    assert!(matches!(error, CommsError::Manifest(_)), "{error}");
}
