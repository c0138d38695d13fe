//! Any bytes are refused as an entry of a ledger, or are the one encoding of it; none opens without a signature.
#![no_main]

use covey_comms::primitives::RunId;
use covey_comms::ledger::{Entry, EntryPosition};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = Entry::parse(bytes) {
        assert_eq!(entry.to_bytes(), bytes);
        if let Ok(opened) = Entry::open(bytes, entry.place()) {
            assert_eq!(opened, entry);
        }
    }
    assert!(Entry::open(bytes, &EntryPosition::genesis(RunId::of(b"a run that nobody signed for"))).is_err());
});
