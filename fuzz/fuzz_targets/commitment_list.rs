//! Bytes that parse as a commitment list or a vote are its only encoding.
#![no_main]

use covey_comms::agreement::Vote;
use covey_comms::agreement::commitments::CommitmentList;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(commitment_list) = CommitmentList::parse(bytes) {
        assert_eq!(commitment_list.to_bytes(), bytes);
    }
    if let Some(vote) = Vote::parse(bytes) {
        assert_eq!(vote.to_bytes(), bytes);
    }
});
