//! Peers that gain and lose their slots.

use bytes::Bytes;
use covey_comms::history::LightClient;
use covey_comms::objects::Exclusion;
use covey_comms::participants::Published;
use covey_comms::primitives::Digest;
use covey_comms::run::{CommsError, RoundParams};

use crate::cluster::{Cluster, RULES, creator_key, delta, excluded, included, peer};

#[test]
fn a_leaving_peer_is_included_once_more_and_then_has_no_slot() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    let light_client = cluster.light_client();
    cluster.heartbeats(&[3]);
    cluster.play(cluster.client(3).leave_notice(light_client.next(), light_client.head())).unwrap();
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
    let start = cluster.now();
    let manifest = cluster.round(&mut validator, &[1, 2]);
    assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], vec![]));
    assert_eq!(cluster.now(), start, "no peer was waited for");
    assert_eq!(validator.light_client().slot(peer(3)), None);
}

#[test]
fn a_peer_that_returns_after_a_leave_notice_joins_again() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    let light_client = cluster.light_client();
    cluster.play(cluster.client(3).leave_notice(light_client.next(), light_client.head())).unwrap();
    assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), []);
    assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), []);
    cluster.heartbeats(&[3]);
    assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), [(3, Exclusion::Newcomer)]);
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn a_late_joiner_gets_a_slot_in_the_next_round() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2]);
    cluster.round(&mut validator, &[1, 2]);
    cluster.play(cluster.client(3).join_request()).unwrap();
    assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), [(3, Exclusion::Newcomer)]);
    assert_eq!(validator.light_client().slot(peer(3)).unwrap().num_slots, 3);
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn an_abandoned_run_continues_with_a_joining_peer() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2]);
    cluster.play(cluster.client(3).join_request()).unwrap();
    cluster.heartbeats(&[3]);
    let manifest = cluster.close(&mut validator).manifest;
    assert!(manifest.is_void() && manifest.excluded().contains_key(&peer(3)));
    assert_eq!(included(&cluster.round(&mut validator, &[3])), [3]);
}

#[test]
fn too_many_missed_rounds_cost_the_slot_and_a_heartbeat_regains_it() {
    let (cluster, mut validator) =
        Cluster::with_peers(RoundParams { patience: 3, ..RULES }, &[1, 2, 3]);
    cluster.round(&mut validator, &[1, 2, 3]);
    for _ in 0..2 {
        assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), [(3, Exclusion::Missing)]);
        assert!(validator.light_client().slot(peer(3)).is_some());
    }
    for _ in 0..5 {
        assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), []);
        validator = cluster.validator();
    }
    cluster.heartbeats(&[3]);
    assert_eq!(excluded(&cluster.round(&mut validator, &[1, 2])), [(3, Exclusion::Newcomer)]);
    assert_eq!(included(&cluster.round(&mut validator, &[1, 2, 3])), [1, 2, 3]);
}

#[test]
fn a_join_request_without_a_heartbeat_delays_no_round() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2]);
    cluster.play(cluster.client(3).join_request()).unwrap();
    let start = cluster.now();
    for _ in 0..20 {
        assert_eq!(included(&cluster.round(&mut validator, &[1, 2])), [1, 2]);
    }
    assert_eq!(cluster.now(), start);
}

#[test]
fn a_second_delta_of_a_round_is_refused_with_the_first() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2]);
    let light_client = cluster.light_client();
    cluster.deliver(&[1]);
    let client = cluster.client(1);
    let publish =
        |payload| cluster.play(client.publish(light_client.next(), light_client.head(), payload));
    assert_eq!(publish(Bytes::from_static(b"other")).unwrap(), Published::Occupied(delta(1)));
    assert_eq!(publish(delta(1)).unwrap(), Published::Stored);
    assert_eq!(
        cluster.round(&mut validator, &[2]).included()[&peer(1)].digest,
        Digest::of(&delta(1))
    );
}

#[test]
fn slots_are_the_same_from_a_checkpoint() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
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
