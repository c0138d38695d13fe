//! Laws of the envelope: a sealed one opens, every problem has a name, and a changed bit is found.

use std::collections::BTreeSet;

use bytes::Bytes;
use covey_comms::objects::Lineage;
use covey_comms::objects::envelope::{
    Admission, Announcement, Author, Envelope, EnvelopeError, Expectation, Header, Kind, Seen,
    Subject,
};
use covey_comms::primitives::{Keypair, PeerId, Round, RunId};
use proptest::prelude::*;

const ROUND: Round = Round(3);

fn author() -> Keypair {
    Keypair::from_secret(&[7; 32])
}

fn run() -> RunId {
    RunId::of(b"a run")
}

fn subject() -> Subject {
    Subject { run: run(), round: ROUND, kind: Kind::Delta, base: Lineage::genesis(run()) }
}

fn expectation() -> Expectation<'static> {
    let Subject { run, round, kind, base } = subject();
    Expectation {
        run,
        kind,
        round: Some(round),
        base: Some(base),
        author: Author::Is(author().peer()),
        max_payload: 1 << 20,
    }
}

fn sealed(payload: &'static [u8]) -> Bytes {
    Envelope::seal(&author(), subject(), Bytes::from_static(payload)).to_bytes()
}

fn error_of(object: &Bytes, expectation: &Expectation<'_>) -> EnvelopeError {
    Envelope::open(object, expectation).unwrap_err()
}

#[test]
fn the_encoding_is_the_one_in_the_protocol() {
    let text: String = sealed(b"payload").iter().map(|byte| format!("{byte:02x}")).collect();
    let documented: String = include_str!("../../../docs/protocol.md")
        .split("<!-- vector: envelope -->")
        .nth(1)
        .and_then(|rest| rest.split("```").nth(1))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(text, documented);
}

#[test]
fn an_envelope_of_another_place_is_rejected_with_the_field() {
    let object = sealed(b"payload");
    let other = RunId::of(b"another run");
    let wrong_run = error_of(&object, &Expectation { run: other, ..expectation() });
    assert!(
        matches!(wrong_run, EnvelopeError::WrongRun { expected, .. } if expected == other),
        "{wrong_run}"
    );
    let wrong_kind =
        error_of(&object, &Expectation { kind: Kind::CommitmentList, ..expectation() });
    assert!(
        matches!(wrong_kind, EnvelopeError::WrongKind { got: Kind::Delta, .. }),
        "{wrong_kind}"
    );
    let wrong_round = error_of(&object, &Expectation { round: Some(Round(4)), ..expectation() });
    assert!(matches!(wrong_round, EnvelopeError::WrongRound { got: ROUND, .. }), "{wrong_round}");
    let wrong_base =
        error_of(&object, &Expectation { base: Some(Lineage::genesis(other)), ..expectation() });
    assert!(matches!(wrong_base, EnvelopeError::WrongBase { round: ROUND, .. }), "{wrong_base}");
}

#[test]
fn only_allowed_authors_under_their_own_key_are_accepted() {
    let object = sealed(b"payload");
    let outsider = Keypair::from_secret(&[8; 32]).peer();
    let error = error_of(&object, &Expectation { author: Author::Is(outsider), ..expectation() });
    assert_eq!(error, EnvelopeError::WrongPeer { expected: outsider, got: author().peer() });
    let members = BTreeSet::from([outsider]);
    let error =
        error_of(&object, &Expectation { author: Author::Among(&members), ..expectation() });
    assert_eq!(error, EnvelopeError::UnknownPeer { peer: author().peer() });
    let members = BTreeSet::from([outsider, author().peer()]);
    assert!(
        Envelope::open(&object, &Expectation { author: Author::Among(&members), ..expectation() })
            .is_ok()
    );
}

#[test]
fn a_signature_of_another_key_is_rejected() {
    let forger = Keypair::from_secret(&[9; 32]);
    let mut object =
        Envelope::seal(&forger, subject(), Bytes::from_static(b"payload")).to_bytes().to_vec();
    // The peer stands after magic, version, kind, run and round.
    object[44..76].copy_from_slice(author().peer().as_bytes());
    assert_eq!(
        error_of(&object.into(), &expectation()),
        EnvelopeError::BadSignature { peer: author().peer() }
    );
}

#[test]
fn an_oversized_payload_is_rejected_by_its_header() {
    let object = sealed(b"payload");
    let narrow = Expectation { max_payload: 6, ..expectation() };
    let error = Announcement::open(&object[..Header::LENGTH], &narrow).unwrap_err();
    assert_eq!(error, EnvelopeError::TooLarge { peer: author().peer(), announced: 7, limit: 6 });
    assert!(
        Announcement::open(&object[..Header::LENGTH], &Expectation { max_payload: 7, ..narrow })
            .is_ok()
    );
}

#[test]
fn a_huge_announced_length_allocates_no_memory() {
    let mut object = sealed(b"payload").to_vec();
    object[108..116].copy_from_slice(&u64::MAX.to_le_bytes());
    let limitless = Expectation { max_payload: u64::MAX, ..expectation() };
    assert_eq!(
        error_of(&object.into(), &limitless),
        EnvelopeError::BadSignature { peer: author().peer() }
    );
    assert_eq!(limitless.max_object(), u64::MAX);
}

#[test]
fn truncated_and_overlong_payloads_have_different_errors() {
    let object = sealed(b"payload");
    let peer = author().peer();
    let cut = object.slice(..object.len() - 1);
    assert_eq!(
        error_of(&cut, &expectation()),
        EnvelopeError::Truncated { peer, expected: 7, got: 6 }
    );
    let long = Bytes::from([&object[..], b"!"].concat());
    assert_eq!(
        error_of(&long, &expectation()),
        EnvelopeError::TrailingBytes { peer, expected: 7, got: 8 }
    );
    let error = error_of(&object.slice(..Header::LENGTH - 1), &expectation());
    assert_eq!(
        error,
        EnvelopeError::HeaderCut { expected: Header::LENGTH, got: Header::LENGTH - 1 }
    );
}

#[test]
fn a_flipped_payload_is_damaged() {
    let mut object = sealed(b"payload").to_vec();
    *object.last_mut().unwrap() ^= 1;
    let error = error_of(&object.into(), &expectation());
    assert!(matches!(error, EnvelopeError::Damaged { .. }), "{error}");
    assert!(error.may_be_transit());
}

#[test]
fn other_versions_are_named() {
    let object = sealed(b"payload");
    let with = |place: usize, value: u8| {
        let mut object = object.to_vec();
        object[place] = value;
        error_of(&object.into(), &expectation())
    };
    assert_eq!(with(0, b'c'), EnvelopeError::NotAnEnvelope);
    assert_eq!(with(4, 2), EnvelopeError::UnknownVersion { expected: 1, got: 2 });
    assert_eq!(with(7, 1), EnvelopeError::UnknownKind { code: 0x101 });
}

#[test]
fn a_repeated_envelope_is_accepted_and_a_different_one_is_not() {
    let mut seen = Seen::default();
    let first = *Envelope::seal(&author(), subject(), Bytes::from_static(b"one")).header();
    let second = *Envelope::seal(&author(), subject(), Bytes::from_static(b"two")).header();
    assert_eq!(seen.admit(&first), Ok(Admission::First));
    assert_eq!(seen.admit(&first), Ok(Admission::Again));
    let replayed = EnvelopeError::Replayed {
        peer: author().peer(),
        round: ROUND,
        kind: Kind::Delta,
        first: first.payload_digest,
        second: second.payload_digest,
    };
    assert_eq!(seen.admit(&second), Err(replayed));
    assert_eq!(seen.admit(&first), Ok(Admission::Again), "the first word stays");
    seen.forget_before(Round(4));
    assert_eq!(seen.admit(&second), Ok(Admission::First), "closed rounds are forgotten");
}

proptest! {
    #[test]
    fn a_sealed_envelope_opens(
        secret: [u8; 32],
        round: u32,
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let author = Keypair::from_secret(&secret);
        let subject = Subject { round: Round(round), ..subject() };
        let envelope = Envelope::seal(&author, subject, payload.into());
        let expectation =
            Expectation {
                round: Some(Round(round)),
                author: Author::Is(author.peer()),
                ..expectation()
            };
        let opened = Envelope::open(&envelope.to_bytes(), &expectation).unwrap();
        prop_assert_eq!(opened.to_bytes(), envelope.to_bytes());
        prop_assert_eq!(opened, envelope);
    }

    #[test]
    fn any_flipped_bit_is_rejected(place in 0..(Header::LENGTH + 7) * 8) {
        let mut object = sealed(b"payload").to_vec();
        object[place / 8] ^= 1 << (place % 8);
        // Only run and kind are expected: the signature must detect changes of all other fields.
        let author = Author::Is(PeerId::from_bytes(object[44..76].try_into().unwrap()));
        let lenient = Expectation {
            round: None,
            base: None,
            author,
            max_payload: u64::MAX,
            ..expectation()
        };
        prop_assert!(Envelope::open(&object.into(), &lenient).is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        object in prop::collection::vec(any::<u8>(), 0..400),
        keep in 0..213_usize,
    ) {
        let mut mixed = sealed(b"payload")[..keep.min(212)].to_vec();
        mixed.extend(&object);
        prop_assert!(Envelope::open(&mixed.into(), &expectation()).is_err());
        prop_assert!(Envelope::open(&object.into(), &expectation()).is_err());
    }
}
