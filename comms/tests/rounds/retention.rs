//! What is removed, and that nobody misses it.

use covey_comms::bucket::Bucket;
use covey_comms::history::LightClient;
use covey_comms::objects::{Exclusion, Key, Prefix};
use covey_comms::participants::validator::Validator;
use covey_comms::primitives::{Digest, Round};
use covey_comms::run::CommsError;

use crate::village::{RULES, Village, excluded, included, mayor};

fn checkpoint(village: &Village, validator: &Validator) {
    let known = validator.follower();
    let part = ("weights".to_string(), known.head().to_string().into());
    let weights = Digest::of(known.head().to_string().as_bytes());
    let mayor = mayor();
    let publish =
        village.run.publish_checkpoint(&mayor, known.next(), known.head(), weights, known.outer_steps(), vec![part]);
    village.play(publish).unwrap();
}

/// A run of ten rounds with a checkpoint after every second, retired after each.
fn aged() -> (Village, Validator) {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2]);
    for round in 1..=10 {
        village.round(&mut validator, &[1, 2]);
        if round % 2 == 0 {
            checkpoint(&village, &validator);
        }
        village.play(validator.retire()).unwrap();
    }
    (village, validator)
}

fn keys(village: &Village, prefix: Prefix) -> Vec<Key> {
    village.play(village.bucket.list(&prefix, None)).unwrap().iter().map(|listed| listed.key).collect()
}

#[test]
fn a_joiner_finds_all_it_needs() {
    let (village, validator) = aged();
    let checkpoints = village.play(village.run.checkpoints()).unwrap();
    assert_eq!(checkpoints, [Round(9), Round(11)]);
    for round in checkpoints {
        let description = village.play(village.run.checkpoint(round)).unwrap();
        assert_eq!(village.play(village.run.checkpoint_part(round, &description.parts[0])).unwrap().len(), 64);
        let mut follower = village.play(LightClient::from_checkpoint(village.run.clone(), &description)).unwrap();
        while let Some(manifest) = village.play(follower.poll()).unwrap() {
            assert_eq!(village.play(follower.gather(&manifest)).unwrap().len(), 2);
        }
        assert_eq!(follower.position(), validator.follower().position());
    }
}

#[test]
fn what_is_not_needed_is_gone_and_said_to_be() {
    let (village, _) = aged();
    let rounds = keys(&village, Prefix::Rounds);
    assert_eq!(rounds.iter().filter(|key| matches!(key, Key::Manifest(_))).count(), 11);
    assert!(rounds.iter().all(|key| !matches!(key, Key::Delta(round, _) if *round < Round(9))), "{rounds:?}");
    assert_eq!(keys(&village, Prefix::Checkpoints).len(), 4);
    assert_eq!(keys(&village, Prefix::Peers).len(), 2 * (1 + 4), "a hello and the newest heartbeats each");
    let error = village.play(village.run.checkpoint(Round(3))).unwrap_err();
    assert!(matches!(error, CommsError::CheckpointGone { round: Round(3) }) && error.is_passing(), "{error}");
    let mut follower = LightClient::genesis(village.run.clone());
    village.play(follower.poll()).unwrap().unwrap();
    let manifest = village.play(follower.poll()).unwrap().unwrap();
    let error = village.play(follower.gather(&manifest)).unwrap_err();
    assert!(matches!(error, CommsError::DeltaGone { round: Round(1), .. }), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("checkpoint")));
}

#[test]
fn who_left_long_ago_is_not_taken_for_new() {
    let (village, mut validator) = Village::inhabited(RULES, &[1, 2, 3]);
    village.round(&mut validator, &[1, 2, 3]);
    for round in 0..20 {
        let manifest = village.round(&mut validator, &[1, 2]);
        let expected: &[_] = if round == 0 { &[(3, Exclusion::Missing)] } else { &[] };
        assert_eq!((included(&manifest), excluded(&manifest)), (vec![1, 2], expected.to_vec()));
        village.play(validator.retire()).unwrap();
        validator = village.validator();
    }
}
