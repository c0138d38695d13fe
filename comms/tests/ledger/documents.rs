//! The canonical encoding of an entry.

use std::collections::BTreeSet;

use covey_comms::agreement::ValidatorSet;
use covey_comms::ledger::state::ValidatorSetChange;
use covey_comms::ledger::{CheckpointDigest, Entry, EntryPosition, Operation, Rejection, Scores};
use covey_comms::objects::Lineage;
use covey_comms::primitives::{Digest, Keypair, PeerId, Round, RunId};
use proptest::prelude::*;

use crate::participants::{identity, run};

fn position() -> EntryPosition {
    EntryPosition { run: run(), number: 7, after: Digest::of(b"the entry before") }
}

/// Operations of each kind.
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
    Entry::seal(&identity(1), position(), operation, successor.as_ref()).unwrap()
}

#[test]
fn parsing_inverts_encoding() {
    for operation in operations() {
        let entry = seal(operation.clone());
        let again = Entry::open(&entry.to_bytes(), &position()).unwrap();
        assert_eq!((again.operation(), &again), (&operation, &entry));
        let parts = Entry::assemble(
            position(),
            entry.author(),
            operation,
            *entry.signature(),
            entry.consent().copied(),
        );
        assert_eq!(parts.unwrap(), entry);
    }
}

/// The example of `docs/ledger.md`.
#[test]
fn the_published_entry_has_its_published_bytes() {
    let position = EntryPosition::genesis(RunId::of(b"covey"));
    let operation = Operation::Register { bucket: Some("s3://mine".into()) };
    let entry = Entry::seal(&Keypair::from_secret(&[1; 32]), position, operation, None).unwrap();
    let document = include_str!("../../../docs/ledger.md");
    let text = String::from_utf8(entry.to_bytes()).unwrap();
    assert!(document.contains(&text), "{text}");
    assert!(document.contains(&entry.digest().to_string()), "{}", entry.digest());
}

#[test]
fn an_entry_is_valid_at_its_position_only() {
    let bytes = seal(Operation::Leave {}).to_bytes();
    let other = RunId::of(b"another run");
    for (elsewhere, rejection) in [
        (
            EntryPosition { run: other, ..position() },
            Rejection::OtherRun { expected: other, got: run() },
        ),
        (EntryPosition { number: 8, ..position() }, Rejection::WrongNumber { expected: 8, got: 7 }),
        (
            EntryPosition { after: Digest::of(b"x"), ..position() },
            Rejection::WrongPredecessor { expected: Digest::of(b"x"), got: position().after },
        ),
    ] {
        assert_eq!(Entry::open(&bytes, &elsewhere), Err(rejection));
    }
}

#[test]
fn only_a_rotation_has_a_second_signature_and_it_is_by_the_new_key() {
    let rotate = Operation::Rotate { to: identity(2).peer() };
    for successor in [None, Some(identity(1)), Some(identity(3))] {
        assert_eq!(
            Entry::seal(&identity(1), position(), rotate.clone(), successor.as_ref()),
            Err(Rejection::NoConsent)
        );
    }
    assert_eq!(
        Entry::seal(&identity(1), position(), Operation::Leave {}, Some(&identity(2))),
        Err(Rejection::NoConsent)
    );
    let entry = seal(rotate.clone());
    for consent in [None, Some(*entry.signature())] {
        let (author, signature) = (entry.author(), *entry.signature());
        let assembled = Entry::assemble(position(), author, rotate.clone(), signature, consent);
        assert_eq!(assembled, Err(Rejection::NoConsent));
    }
    let leave = seal(Operation::Leave {});
    let assembled = Entry::assemble(
        position(),
        leave.author(),
        Operation::Leave {},
        *leave.signature(),
        Some(*leave.signature()),
    );
    assert_eq!(assembled, Err(Rejection::NoConsent));
}

fn validator_set(count: usize, threshold: u32) -> ValidatorSetChange {
    let members = (0..count).map(|index| PeerId::from_bytes([index as u8; 32]));
    let members: BTreeSet<_> = members.collect();
    ValidatorSetChange { generation: 1, members, threshold, accounts: None }
}

#[test]
fn impossible_validator_sets_are_refused() {
    for (count, threshold) in
        [(0, 0), (1, 0), (1, 2), (2, 1), (3, 1), (3, 4), (4, 2), (ValidatorSet::MAX + 1, 40)]
    {
        assert!(
            matches!(
                validator_set(count, threshold).check(),
                Err(Rejection::InvalidValidatorSet { .. })
            ),
            "{threshold} of {count}"
        );
    }
    for (count, threshold) in [(1, 1), (2, 2), (3, 2), (4, 3), (ValidatorSet::MAX, 33)] {
        let operation = Operation::Validators(validator_set(count, threshold));
        let entry = Entry::seal(&identity(1), position(), operation, None).unwrap();
        assert!(entry.to_bytes().len() <= Entry::MAX_LENGTH / 2);
        assert_eq!(Entry::open(&entry.to_bytes(), &position()), Ok(entry));
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused_and_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        prop_assert!(Entry::parse(&bytes).is_err());
    }

    #[test]
    fn every_changed_byte_is_noticed(
        kind in 0..10_usize,
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let mut bytes = seal(operations().swap_remove(kind)).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Entry::open(&bytes, &position()).is_err());
    }
}
