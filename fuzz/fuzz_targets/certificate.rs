//! Bytes that parse as a certificate are its only encoding, and none opens without signatures.
#![no_main]

use covey_comms::agreement::{Certificate, ValidatorSet};
use covey_comms::objects::ManifestError;
use covey_comms::primitives::{PeerId, RunId};
use libfuzzer_sys::fuzz_target;

fn check(bytes: &[u8]) {
    let Ok(certificate) = Certificate::parse(bytes) else { return };
    assert_eq!(certificate.to_bytes(), bytes);
    let validator_set = ValidatorSet::single(PeerId::from_bytes([7; 32]));
    let round = certificate.manifest().round();
    assert!(Certificate::open(bytes, RunId::of(b"a run"), &validator_set, round, None).is_err());
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // The fuzzer cannot guess a lineage. With the correct one at the end, the checks behind the
    // lineage are reached as well.
    if let Err(ManifestError::WrongLineage { expected, .. }) = Certificate::parse(bytes) {
        let content = bytes.len() - 32;
        check(&[&bytes[..content], expected.digest().as_bytes()].concat());
    }
});
