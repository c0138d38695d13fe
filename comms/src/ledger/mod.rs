//! Who takes part, who validates and what the validators found, where nobody can take it back.
//!
//! A ledger is an ordered list of [signed statements](Entry). Anyone may write one; what counts is decided by the reader,
//! who [folds](State) all of them by the same rules, wherever they are kept:
//!
//! - [`MemoryLedger`] keeps them in this process, for tests and simulations;
//! - [`BucketLog`] keeps them in the run's bucket, each chained to the one before it;
//! - `EvmLedger` (feature `evm`) has a contract keep them.
//!
//! [`check_ledger_conformance`] holds all of them to one contract, and [`Registry`] is what a peer or a validator works
//! with. The bytes are specified in `docs/ledger.md`. No secret ever enters a ledger.

mod audit;
mod bucket_log;
mod conformance;
mod council;
mod entry;
mod error;
mod keeping;
mod memory;
mod refusal;
mod registry;
mod state;
mod statement;
mod tally;

#[cfg(feature = "evm")]
pub mod evm;

pub use audit::{Audit, Finding, audit};
pub use bucket_log::BucketLog;
pub use conformance::{Party, check_ledger_conformance};
pub use council::{Charter, Council, MAX_VALIDATORS};
pub use entry::{Entry, Place};
pub use error::LedgerError;
pub use keeping::{Ledger, Line};
pub use memory::MemoryLedger;
pub use refusal::Refusal;
pub use registry::Registry;
pub use state::{Membership, Record, State};
pub use statement::{CheckpointDigest, Scores, Statement};
pub use tally::Tally;
