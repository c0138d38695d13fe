//! Removal of old objects that no reader needs.

use covey_comms::bucket::Bucket;
use covey_comms::history::LightClient;
use covey_comms::objects::{Exclusion, Key, Prefix};
use covey_comms::participants::validator::Validator;
use covey_comms::primitives::{Digest, Round};
use covey_comms::run::CommsError;

use crate::cluster::{Cluster, RULES, creator_key, excluded, included};

fn checkpoint(cluster: &Cluster, validator: &Validator) {
    let known = validator.light_client();
    let part = ("weights".to_string(), known.head().to_string().into());
    let weights = Digest::of(known.head().to_string().as_bytes());
    let creator_key = creator_key();
    let publish = cluster.run.publish_checkpoint(
        &creator_key,
        known.next(),
        known.head(),
        weights,
        known.outer_steps(),
        vec![part],
    );
    cluster.play(publish).unwrap();
}

/// A run of ten rounds with a checkpoint after every second round and a cleanup after each.
fn ten_rounds() -> (Cluster, Validator) {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2]);
    for round in 1..=10 {
        cluster.round(&mut validator, &[1, 2]);
        if round % 2 == 0 {
            checkpoint(&cluster, &validator);
        }
        cluster.play(validator.retire()).unwrap();
    }
    (cluster, validator)
}

fn keys(cluster: &Cluster, prefix: Prefix) -> Vec<Key> {
    cluster
        .play(cluster.bucket.list(&prefix, None))
        .unwrap()
        .iter()
        .map(|listed| listed.key)
        .collect()
}

#[test]
fn a_late_joiner_finds_all_objects_that_it_needs() {
    let (cluster, validator) = ten_rounds();
    let checkpoints = cluster.play(cluster.run.checkpoints()).unwrap();
    assert_eq!(checkpoints, [Round(9), Round(11)]);
    for round in checkpoints {
        let description = cluster.play(cluster.run.checkpoint(round)).unwrap();
        assert_eq!(
            cluster.play(cluster.run.checkpoint_part(round, &description.parts[0])).unwrap().len(),
            64
        );
        let mut light_client =
            cluster.play(LightClient::from_checkpoint(cluster.run.clone(), &description)).unwrap();
        while let Some(manifest) = cluster.play(light_client.poll()).unwrap() {
            assert_eq!(cluster.play(light_client.gather(&manifest)).unwrap().len(), 2);
        }
        assert_eq!(light_client.position(), validator.light_client().position());
    }
}

#[test]
fn unneeded_objects_are_removed_and_reported_as_removed() {
    let (cluster, _) = ten_rounds();
    let rounds = keys(&cluster, Prefix::Rounds);
    assert_eq!(rounds.iter().filter(|key| matches!(key, Key::Manifest(_))).count(), 11);
    assert!(
        rounds.iter().all(|key| !matches!(key, Key::Delta(round, _) if *round < Round(9))),
        "{rounds:?}"
    );
    assert_eq!(keys(&cluster, Prefix::Checkpoints).len(), 4);
    assert_eq!(
        keys(&cluster, Prefix::Peers).len(),
        2 * (1 + 4),
        "one join request and the latest heartbeats of each peer"
    );
    let error = cluster.play(cluster.run.checkpoint(Round(3))).unwrap_err();
    assert!(
        matches!(error, CommsError::CheckpointGone { round: Round(3) }) && error.is_passing(),
        "{error}"
    );
    let mut light_client = LightClient::genesis(cluster.run.clone());
    cluster.play(light_client.poll()).unwrap().unwrap();
    let manifest = cluster.play(light_client.poll()).unwrap().unwrap();
    let error = cluster.play(light_client.gather(&manifest)).unwrap_err();
    assert!(matches!(error, CommsError::DeltaGone { round: Round(1), .. }), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("checkpoint")));
}

#[test]
fn a_peer_that_left_long_ago_does_not_join_again() {
    let (cluster, mut validator) = Cluster::with_peers(RULES, &[1, 2, 3]);
    cluster.round(&mut validator, &[1, 2, 3]);
    for round in 0..20 {
        let manifest = cluster.round(&mut validator, &[1, 2]);
        let expected: &[_] = if round == 0 { &[(3, Exclusion::Missing)] } else { &[] };
        assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], expected.to_vec()));
        cluster.play(validator.retire()).unwrap();
        validator = cluster.validator();
    }
}
