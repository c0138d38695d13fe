//! The commitments of a round: the list of each validator, and the closed commitments that follow.
//!
//! The folder encodes lists and combines them, and never reads a bucket. Start with
//! [`CommitmentLists::timely`].
//!
//! ```rust
//! use covey_comms::agreement::commitments::{CommitmentList, ListedCommitment};
//! use covey_comms::objects::DeltaRef;
//! use covey_comms::primitives::{Digest, PeerId};
//!
//! let commitment = DeltaRef::of(b"a delta");
//! let entry = ListedCommitment { poll: 1, commitment };
//! let entries = [(PeerId::from_bytes([1; 32]), entry)].into();
//! let list = CommitmentList { pledge: Digest::of(b"a secret"), entries };
//! assert_eq!(CommitmentList::parse(&list.to_bytes()), Some(list));
//! ```

mod commitment_list;

pub use self::commitment_list::{CommitmentList, CommitmentLists, ListedCommitment};
