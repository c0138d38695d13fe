//! Bytes that parse as a ledger entry are its only encoding, and none opens without a signature.
#![no_main]

use covey_comms::ledger::{Entry, EntryPosition};
use covey_comms::primitives::RunId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = Entry::parse(bytes) {
        assert_eq!(entry.to_bytes(), bytes);
        if let Ok(opened) = Entry::open(bytes, entry.position()) {
            assert_eq!(opened, entry);
        }
    }
    let position = EntryPosition::genesis(RunId::of(b"a run without a signature"));
    assert!(Entry::open(bytes, &position).is_err());
});
