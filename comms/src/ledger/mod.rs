//! The ledger: which peers are registered, which validators there are, and how peers scored.

mod audit;
pub mod backends;
mod client;
mod conformance;
mod entry;
mod error;
mod ledger;
mod operation;
mod rejection;
pub mod state;

pub use self::audit::{AuditFinding, LedgerAudit, audit};
pub use self::client::LedgerClient;
pub use self::conformance::{LedgerParty, check_ledger_conformance};
pub use self::entry::{Entry, EntryPosition};
pub use self::error::LedgerError;
pub use self::ledger::{Ledger, NumberedEntry};
pub use self::operation::{CheckpointDigest, Operation, Scores};
pub use self::rejection::Rejection;
