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

pub use self::audit::{Audit, Finding, audit};
pub use self::client::Registry;
pub use self::conformance::{Party, check_ledger_conformance};
pub use self::entry::{Entry, Place};
pub use self::error::LedgerError;
pub use self::ledger::{Ledger, Line};
pub use self::operation::{CheckpointDigest, Scores, Statement};
pub use self::rejection::Refusal;
