//! Any bytes are refused as an envelope, or are the one encoding of it.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use covey_comms::objects::envelope::{Announcement, Author, Envelope, Expectation, Header, Kind, Subject};
use covey_comms::primitives::{Keypair, Round, RunId};
use covey_comms::objects::Lineage;
use libfuzzer_sys::fuzz_target;

const MAX_PAYLOAD: u64 = 64;

/// A header and signature that are right for the payload `payload`, which the fuzzer could never sign.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let run = RunId::of(b"a run");
    let subject = Subject { run, round: Round(3), kind: Kind::Delta, base: Lineage::genesis(run) };
    Envelope::seal(&Keypair::from_secret(&[7; 32]), subject, Bytes::from_static(b"payload")).to_bytes().to_vec()
});

fn check(object: Bytes) {
    let run = RunId::of(b"a run");
    let author = Author::Is(Keypair::from_secret(&[7; 32]).peer());
    let expectation =
        Expectation { run, kind: Kind::Delta, round: None, base: None, author, max_payload: MAX_PAYLOAD };
    let announced = Announcement::open(&object, &expectation);
    if let Ok(envelope) = Envelope::open(&object, &expectation) {
        assert_eq!(envelope.to_bytes(), object);
        assert_eq!(announced.expect("a whole object announces itself").header(), envelope.header());
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(Bytes::copy_from_slice(bytes));
    check([&GOOD[..Header::LENGTH], bytes].concat().into());
    // One byte of a good one replaced.
    if let [place, value, ..] = bytes {
        let mut object = GOOD.clone();
        object[usize::from(*place) % GOOD.len()] = *value;
        check(object.into());
    }
});
