//! Any bytes are refused as a roll or a vote, or are the one encoding of it.
#![no_main]

use covey_comms::agreement::commitments::CommitmentList;
use covey_comms::agreement::Vote;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(commitment_list) = CommitmentList::parse(bytes) {
        assert_eq!(commitment_list.to_bytes(), bytes);
    }
    if let Some(vote) = Vote::parse(bytes) {
        assert_eq!(vote.to_bytes(), bytes);
    }
});
