//! Bytes that parse as the description of a checkpoint are its only encoding.
#![no_main]

use covey_comms::objects::{CheckpointDescription, Lineage};
use covey_comms::primitives::{Round, RunId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lineage = Lineage::genesis(RunId::of(b"a run"));
    if let Ok(description) = CheckpointDescription::parse(bytes, Round(1), lineage) {
        assert_eq!(description.to_payload(), bytes);
    }
});
