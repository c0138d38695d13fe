//! The fold from entries to the state of a ledger.

use std::collections::BTreeSet;

use covey_comms::ledger::state::{LedgerState, Membership, ValidatorSetChange};
use covey_comms::ledger::{
    CheckpointDigest, Entry, EntryPosition, NumberedEntry, Operation, Rejection, Scores,
};
use covey_comms::objects::Lineage;
use covey_comms::primitives::{Digest, Keypair, PeerId, Round};
use proptest::prelude::*;

use crate::participants::{genesis, identity, run};

/// An entry of `author`; the fold does not look at its position.
fn numbered(
    number: u64,
    author: &Keypair,
    operation: Operation,
    successor: Option<&Keypair>,
) -> NumberedEntry {
    let position = EntryPosition { run: run(), number, after: Digest::of(b"any") };
    NumberedEntry { number, entry: Entry::seal(author, position, operation, successor) }
}

/// An operation of one of eight authors that concerns another key.
fn operation_of(kind: u8, author: u8, other: u8, round: u32) -> (u8, Operation, Option<u8>) {
    let digest = Digest::of(&[other]);
    let operation = match kind {
        0 => Operation::Register { bucket: None },
        1 => Operation::Announce { bucket: Some(format!("s3://bucket-{other}")) },
        2 => return (author, Operation::Rotate { to: identity(other).peer() }, Some(other)),
        3 => Operation::Leave {},
        4 => Operation::Scores(Scores { round: Round(round), verdict: digest, payouts: None }),
        5 => {
            let lineage = Lineage::from_digest(digest);
            Operation::Checkpoint(CheckpointDigest {
                round: Round(round),
                lineage,
                weights: digest,
            })
        }
        _ => {
            let members: BTreeSet<PeerId> =
                [1, 2, other].map(|secret| identity(secret).peer()).into();
            let threshold = members.len() as u32 / 2 + 1;
            Operation::Validators(ValidatorSetChange {
                generation: u64::from(round),
                members,
                threshold,
                accounts: None,
            })
        }
    };
    (author, operation, None)
}

fn history() -> impl Strategy<Value = Vec<NumberedEntry>> {
    let operation = (0..7_u8, 1..9_u8, 1..9_u8, 0..3_u32)
        .prop_map(|(kind, author, other, round)| operation_of(kind, author, other, round));
    proptest::collection::vec(operation, 0..40).prop_map(|history| {
        let entries = (0..).zip(history).map(|(number, (author, operation, successor))| {
            numbered(number, &identity(author), operation, successor.map(identity).as_ref())
        });
        entries.collect()
    })
}

fn fold(mut state: LedgerState, entries: &[NumberedEntry]) -> LedgerState {
    for entry in entries {
        let before = state.clone();
        if state.apply(entry).is_err() {
            // Only the number has changed.
            assert_eq!(state.next(), entry.number + 1);
            assert_eq!(
                (state.peers(), state.validator_set()),
                (before.peers(), before.validator_set())
            );
            assert_eq!(
                (state.scores(), state.checkpoints(), state.votes()),
                (before.scores(), before.checkpoints(), before.votes())
            );
        }
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn state_is_a_pure_fold(entries in history(), cut in any::<prop::sample::Index>()) {
        let whole = fold(LedgerState::genesis(&genesis()), &entries);
        let (first, second) = entries.split_at(cut.index(entries.len() + 1));
        prop_assert_eq!(&fold(fold(LedgerState::genesis(&genesis()), first), second), &whole);
        whole.validator_set().check().unwrap();
        for (peer, record) in whole.peers() {
            prop_assert_eq!(whole.is_registered(*peer), record.membership == Membership::Active);
            if let Membership::Rotated { at, to } = record.membership {
                prop_assert_eq!(whole.peers()[&to].rotated_from.is_some(), true);
                prop_assert!(record.since < at && at <= whole.peers()[&to].since);
            }
            // Following rotations ends at a key that did not rotate.
            let current = &whole.peers()[&whole.current_key(*peer)];
            let has_rotated = matches!(current.membership, Membership::Rotated { .. });
            prop_assert!(!has_rotated);
        }
    }
}

#[test]
fn a_vote_below_the_threshold_changes_nothing() {
    let mut state = LedgerState::genesis(&genesis());
    let attackers = ValidatorSetChange {
        generation: 1,
        members: [identity(9).peer()].into(),
        threshold: 1,
        accounts: None,
    };
    state
        .apply(&numbered(0, &identity(1), Operation::Validators(attackers.clone()), None))
        .unwrap();
    // A repeated vote counts once, and the key that would become a validator has no vote.
    state
        .apply(&numbered(1, &identity(1), Operation::Validators(attackers.clone()), None))
        .unwrap();
    let refused =
        state.apply(&numbered(2, &identity(9), Operation::Validators(attackers.clone()), None));
    assert_eq!(refused, Err(Rejection::NotValidator { peer: identity(9).peer() }));
    assert_eq!(state.validator_set(), &genesis().validator_set);
    // Another vote of the same validator replaces its first one.
    let others = ValidatorSetChange { members: [identity(2).peer()].into(), ..attackers.clone() };
    state.apply(&numbered(3, &identity(1), Operation::Validators(others.clone()), None)).unwrap();
    state.apply(&numbered(4, &identity(3), Operation::Validators(attackers), None)).unwrap();
    assert_eq!(state.validator_set(), &genesis().validator_set);
    state.apply(&numbered(5, &identity(2), Operation::Validators(others.clone()), None)).unwrap();
    assert_eq!(state.validator_set(), &others);
}

#[test]
fn an_agreement_survives_a_change_of_validators() {
    let mut state = LedgerState::genesis(&genesis());
    let scores = Scores { round: Round(1), verdict: Digest::of(b"verdict"), payouts: None };
    for (number, secret) in [(0, 1), (1, 2)] {
        state.apply(&numbered(number, &identity(secret), Operation::Scores(scores), None)).unwrap();
    }
    let next = ValidatorSetChange {
        generation: 1,
        members: [identity(3).peer()].into(),
        threshold: 1,
        accounts: None,
    };
    for (number, secret) in [(2, 1), (3, 2)] {
        state
            .apply(&numbered(number, &identity(secret), Operation::Validators(next.clone()), None))
            .unwrap();
    }
    let wrong = Scores { verdict: Digest::of(b"another"), ..scores };
    state.apply(&numbered(4, &identity(3), Operation::Scores(wrong), None)).unwrap();
    assert_eq!(state.scores().agreed(Round(1)), Some(scores));
    assert_eq!(state.scores().newest(), Some((Round(1), scores)));
}

#[test]
fn keys_of_validators_do_not_rotate() {
    let mut state = LedgerState::genesis(&genesis());
    for (number, secret) in [(0, 1), (1, 10)] {
        state
            .apply(&numbered(number, &identity(secret), Operation::Register { bucket: None }, None))
            .unwrap();
    }
    for (from, to) in [(1, 11), (10, 2)] {
        let operation = Operation::Rotate { to: identity(to).peer() };
        let outcome =
            state.apply(&numbered(state.next(), &identity(from), operation, Some(&identity(to))));
        assert!(matches!(outcome, Err(Rejection::ValidatorKey { .. })), "{outcome:?}");
    }
}
