//! Bytes that parse as a manifest are its only encoding.
#![no_main]

use covey_comms::objects::{Manifest, ManifestError};
use libfuzzer_sys::fuzz_target;

fn check(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.to_bytes(), bytes);
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // The fuzzer cannot guess a lineage. With the correct one at the end, the checks behind the
    // lineage are reached as well.
    if let Err(ManifestError::WrongLineage { expected, .. }) = Manifest::parse(bytes) {
        let content = bytes.len() - 32;
        let whole = [&bytes[..content], expected.digest().as_bytes()].concat();
        assert_eq!(Manifest::parse(&whole).expect("only the lineage was wrong").to_bytes(), whole);
    }
});
