//! Bytes that open as an envelope are its only encoding.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use covey_comms::objects::Lineage;
use covey_comms::objects::envelope::{
    Announcement, Author, Envelope, Expectation, Header, Kind, Subject,
};
use covey_comms::primitives::{Keypair, Round, RunId};
use libfuzzer_sys::fuzz_target;

const MAX_PAYLOAD: u64 = 64;

/// A valid envelope of the payload `payload`; the fuzzer cannot find a valid signature.
static VALID: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let run = RunId::of(b"a run");
    let subject = Subject { run, round: Round(3), kind: Kind::Delta, base: Lineage::genesis(run) };
    let keypair = Keypair::from_secret(&[7; 32]);
    Envelope::seal(&keypair, subject, Bytes::from_static(b"payload")).to_bytes().to_vec()
});

fn check(object: Bytes) {
    let run = RunId::of(b"a run");
    let author = Author::Is(Keypair::from_secret(&[7; 32]).peer());
    let expectation = Expectation {
        run,
        kind: Kind::Delta,
        round: None,
        base: None,
        author,
        max_payload: MAX_PAYLOAD,
    };
    let announced = Announcement::open(&object, &expectation);
    if let Ok(envelope) = Envelope::open(&object, &expectation) {
        assert_eq!(envelope.to_bytes(), object);
        let announced = announced.expect("a complete object has a valid announcement");
        assert_eq!(announced.header(), envelope.header());
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(Bytes::copy_from_slice(bytes));
    check([&VALID[..Header::LENGTH], bytes].concat().into());
    // The valid envelope with one byte replaced.
    if let [place, value, ..] = bytes {
        let mut object = VALID.clone();
        object[usize::from(*place) % VALID.len()] = *value;
        check(object.into());
    }
});
