//! The one encoding of an entry.

use std::collections::BTreeSet;

use covey_comms::ledger::state::{MAX_VALIDATORS, ValidatorSetChange};
use covey_comms::ledger::{CheckpointDigest, Entry, EntryPosition, Operation, Rejection, Scores};
use covey_comms::objects::Lineage;
use covey_comms::primitives::{Digest, Keypair, PeerId, Round, RunId};
use proptest::prelude::*;

use crate::participants::{identity, run};

fn place() -> EntryPosition {
    EntryPosition { run: run(), number: 7, after: Digest::of(b"the entry before") }
}

/// One of each kind.
fn operations() -> Vec<Operation> {
    let digest = Digest::of(b"some digest");
    let validator_set = ValidatorSetChange {
        generation: 1,
        members: [identity(3).peer()].into(),
        threshold: 1,
        accounts: None,
    };
    vec![
        Operation::Register { bucket: None },
        Operation::Register { bucket: Some("s3://mine?endpoint=https://host".into()) },
        Operation::Announce { bucket: Some("file:///shared/mine".into()) },
        Operation::Rotate { to: identity(2).peer() },
        Operation::Leave {},
        Operation::Scores(Scores { round: Round(3), verdict: digest, payouts: None }),
        Operation::Scores(Scores { round: Round(3), verdict: digest, payouts: Some(digest) }),
        Operation::Checkpoint(CheckpointDigest {
            round: Round(3),
            lineage: Lineage::from_digest(digest),
            weights: digest,
        }),
        Operation::Validators(validator_set.clone()),
        Operation::Validators(ValidatorSetChange { accounts: Some(digest), ..validator_set }),
    ]
}

fn seal(operation: Operation) -> Entry {
    let successor = matches!(operation, Operation::Rotate { .. }).then(|| identity(2));
    Entry::seal(&identity(1), place(), operation, successor.as_ref()).unwrap()
}

#[test]
fn every_entry_comes_back_from_its_bytes() {
    for operation in operations() {
        let entry = seal(operation.clone());
        let again = Entry::open(&entry.to_bytes(), &place()).unwrap();
        assert_eq!((again.operation(), &again), (&operation, &entry));
        let parts = Entry::assemble(
            place(),
            entry.author(),
            operation,
            *entry.signature(),
            entry.consent().copied(),
        );
        assert_eq!(parts.unwrap(), entry);
    }
}

/// The bytes that `docs/ledger.md` shows.
#[test]
fn the_published_entry_has_its_published_bytes() {
    let place = EntryPosition::genesis(RunId::of(b"covey"));
    let operation = Operation::Register { bucket: Some("s3://mine".into()) };
    let entry = Entry::seal(&Keypair::from_secret(&[1; 32]), place, operation, None).unwrap();
    let document = include_str!("../../../docs/ledger.md");
    let text = String::from_utf8(entry.to_bytes()).unwrap();
    assert!(document.contains(&text), "{text}");
    assert!(document.contains(&entry.digest().to_string()), "{}", entry.digest());
}

#[test]
fn an_entry_counts_in_its_place_only() {
    let bytes = seal(Operation::Leave {}).to_bytes();
    let other = RunId::of(b"another run");
    for (elsewhere, rejection) in [
        (
            EntryPosition { run: other, ..place() },
            Rejection::OtherRun { expected: other, got: run() },
        ),
        (EntryPosition { number: 8, ..place() }, Rejection::WrongNumber { expected: 8, got: 7 }),
        (
            EntryPosition { after: Digest::of(b"x"), ..place() },
            Rejection::WrongPredecessor { expected: Digest::of(b"x"), got: place().after },
        ),
    ] {
        assert_eq!(Entry::open(&bytes, &elsewhere), Err(rejection));
    }
}

#[test]
fn consent_belongs_to_rotations_and_to_their_new_key() {
    let rotate = Operation::Rotate { to: identity(2).peer() };
    for successor in [None, Some(identity(1)), Some(identity(3))] {
        assert_eq!(
            Entry::seal(&identity(1), place(), rotate.clone(), successor.as_ref()),
            Err(Rejection::NoConsent)
        );
    }
    assert_eq!(
        Entry::seal(&identity(1), place(), Operation::Leave {}, Some(&identity(2))),
        Err(Rejection::NoConsent)
    );
    let entry = seal(rotate.clone());
    let assemble = |operation, consent| {
        Entry::assemble(place(), entry.author(), operation, *entry.signature(), consent)
    };
    assert_eq!(assemble(rotate.clone(), None), Err(Rejection::NoConsent));
    assert_eq!(assemble(rotate, Some(*entry.signature())), Err(Rejection::NoConsent));
    let leave = seal(Operation::Leave {});
    let smuggled = Entry::assemble(
        place(),
        leave.author(),
        Operation::Leave {},
        *leave.signature(),
        Some(*leave.signature()),
    );
    assert_eq!(smuggled, Err(Rejection::NoConsent));
}

#[test]
fn impossible_validator_sets_are_refused() {
    let peers = |count: usize| {
        (0..count).map(|index| PeerId::from_bytes([index as u8; 32])).collect::<BTreeSet<_>>()
    };
    let validator_set = |count, threshold| ValidatorSetChange {
        generation: 1,
        members: peers(count),
        threshold,
        accounts: None,
    };
    for (count, threshold) in
        [(0, 0), (1, 0), (1, 2), (2, 1), (3, 1), (3, 4), (4, 2), (MAX_VALIDATORS + 1, 40)]
    {
        assert!(
            matches!(validator_set(count, threshold).check(), Err(Rejection::Council { .. })),
            "{threshold} of {count}"
        );
    }
    for (count, threshold) in [(1, 1), (2, 2), (3, 2), (4, 3), (MAX_VALIDATORS, 33)] {
        let operation = Operation::Validators(validator_set(count, threshold));
        let entry = Entry::seal(&identity(1), place(), operation, None).unwrap();
        assert!(entry.to_bytes().len() <= Entry::MAX_LENGTH / 2);
        assert_eq!(Entry::open(&entry.to_bytes(), &place()), Ok(entry));
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Entry::parse(&bytes).is_err());
    }

    #[test]
    fn every_changed_byte_is_noticed(kind in 0..10_usize, at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = seal(operations().swap_remove(kind)).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Entry::open(&bytes, &place()).is_err());
    }
}
