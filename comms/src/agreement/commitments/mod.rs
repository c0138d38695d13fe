//! The commitments of a round that a validator saw in time.

mod commitment_list;

pub use self::commitment_list::{CommitmentList, CommitmentLists, ListedCommitment};
