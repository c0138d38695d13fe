//! The ledger: a signed, ordered record of registered peers, validator sets and digests of
//! verdicts.
//!
//! A backend only stores and orders signed [`Entry`] values. The meaning of an entry is a pure
//! function of the entries before it: every reader computes the same [`state::LedgerState`] and
//! skips the same invalid entries. The code never trusts a backend, never stores scores (only their
//! digests), and never decides on rewards. The format is specified in `docs/ledger.md`.
//!
//! Start with [`Ledger`] and [`LedgerClient`].
//!
//! ```rust
//! use std::sync::Arc;
//!
//! use covey_comms::ledger::{LedgerClient, backends::MemoryLedger, state::Genesis};
//! use covey_comms::primitives::{Keypair, RunId, VirtualClock};
//!
//! let [validator, peer] = [1, 2].map(|secret| Keypair::from_secret(&[secret; 32]));
//! let genesis = Genesis::new(RunId::of(b"my run"), [validator.peer()].into(), 1)?;
//! let mut client = LedgerClient::new(Arc::new(MemoryLedger::new(genesis)));
//! let number = VirtualClock::default().run(client.register(&peer, None)).unwrap()?;
//! assert_eq!(number, 0);
//! assert!(client.state().is_registered(peer.peer()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit;
pub mod backends;
mod client;
#[cfg(feature = "testing")]
mod conformance;
mod entry;
mod error;
mod ledger;
mod operation;
mod rejection;
pub mod state;

pub use self::audit::{AuditFinding, LedgerAudit, audit};
pub use self::client::LedgerClient;
#[cfg(feature = "testing")]
pub use self::conformance::{LedgerParty, check_ledger_conformance};
pub use self::entry::{Entry, EntryPosition};
pub use self::error::LedgerError;
pub use self::ledger::{Ledger, NumberedEntry};
pub use self::operation::{CheckpointDigest, Operation, Scores};
pub use self::rejection::{Rejection, Verified};
