//! Who gains and who loses a seat.

use bytes::Bytes;
use covey_comms::history::LightClient;
use covey_comms::objects::Exclusion;
use covey_comms::participants::Published;
use covey_comms::primitives::Digest;
use covey_comms::run::{CommsError, RoundParams};

use crate::cluster::{Cluster, RULES, creator_key, delta, excluded, included, peer};

#[test]
fn who_says_farewell_counts_once_more_and_is_gone() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2, 3]);
    let light_client = cluster.light_client();
    cluster.begin(&[3]);
    cluster.play(cluster.member(3).leave_notice(light_client.next(), light_client.head())).unwrap();
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
    let start = cluster.now();
    let manifest = cluster.round(&mut validator, &[1, 2]);
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], vec![]));
    assert_eq!(cluster.now(), start, "nobody waited");
    assert_eq!(validator.light_client().slot(peer(3)), None);
}

#[test]
fn who_comes_back_after_a_farewell_is_a_newcomer() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2, 3]);
    let light_client = cluster.light_client();
    cluster.play(cluster.member(3).leave_notice(light_client.next(), light_client.head())).unwrap();
    assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), []);
    assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), []);
    cluster.begin(&[3]);
    assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), [(3, Exclusion::Newcomer)]);
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn a_peer_that_joins_later_is_named_first_and_contributes_next() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2]);
    cluster.round(&mut validator, &[1, 2]);
    cluster.play(cluster.member(3).join_request()).unwrap();
    assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), [(3, Exclusion::Newcomer)]);
    assert_eq!(validator.light_client().slot(peer(3)).unwrap().of, 3);
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn a_run_that_everybody_left_goes_on_with_whoever_comes() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2]);
    cluster.play(cluster.member(3).join_request()).unwrap();
    cluster.begin(&[3]);
    let manifest = cluster.close(&mut validator).manifest;
    assert!(manifest.is_void() && manifest.excluded().contains_key(&peer(3)));
    assert_eq!(included(&cluster.round(&mut validator, &[3])), [3]);
}

#[test]
fn who_is_silent_too_often_loses_its_seat_and_a_heartbeat_regains_it() {
    let (cluster, mut validator) =
        Cluster::inhabited(RoundParams { patience: 3, ..RULES }, &[1, 2, 3]);
    cluster.round(&mut validator, &[1, 2, 3]);
    for _ in 0..2 {
        assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), [(3, Exclusion::Missing)]);
        assert!(validator.light_client().slot(peer(3)).is_some());
    }
    for _ in 0..5 {
        assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), []);
        validator = cluster.validator();
    }
    cluster.begin(&[3]);
    assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), [(3, Exclusion::Newcomer)]);
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn a_hello_without_any_heartbeat_holds_up_one_round_at_most() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2]);
    cluster.play(cluster.member(3).join_request()).unwrap();
    let start = cluster.now();
    for _ in 0..20 {
        assert_eq!(included(&cluster.round(&mut validator, &[1, 2])), [1, 2]);
    }
    assert_eq!(cluster.now(), start);
}

#[test]
fn a_second_delta_of_a_round_is_told_of_the_first() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2]);
    let light_client = cluster.light_client();
    cluster.deliver(&[1]);
    let member = cluster.member(1);
    let publish =
        |payload| cluster.play(member.publish(light_client.next(), light_client.head(), payload));
    assert_eq!(publish(Bytes::from_static(b"other")).unwrap(), Published::Occupied(delta(1)));
    assert_eq!(publish(delta(1)).unwrap(), Published::Stored);
    assert_eq!(
        cluster.round(&mut validator, &[2]).included()[&peer(1)].digest,
        Digest::of(&delta(1))
    );
}

#[test]
fn seats_are_the_same_from_a_checkpoint() {
    let (cluster, mut validator) = Cluster::inhabited(RULES, &[1, 2, 3]);
    cluster.round(&mut validator, &[1, 2, 3]);
    let known = cluster.light_client();
    let weights = Digest::of(b"now");
    let creator_key = creator_key();
    let publish = cluster.run.publish_checkpoint(
        &creator_key,
        known.next(),
        known.head(),
        weights,
        known.outer_steps(),
        vec![],
    );
    let checkpoint = cluster.play(publish).unwrap();
    let joiner =
        cluster.play(LightClient::from_checkpoint(cluster.run.clone(), &checkpoint)).unwrap();
    assert_eq!(joiner.position(), known.position());
    let forged = covey_comms::objects::CheckpointDescription {
        lineage: LightClient::genesis(cluster.run.clone()).head(),
        ..checkpoint
    };
    let error =
        cluster.play(LightClient::from_checkpoint(cluster.run.clone(), &forged)).unwrap_err();
    assert!(matches!(error, CommsError::Manifest(_)), "{error}");
}
