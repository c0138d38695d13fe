//! The ledger: conformance of all backends, audits of damaged logs, and the fold over entries.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod backends;
mod cost;
mod damage;
mod documents;
#[cfg(feature = "evm")]
mod evm;
mod folding;
mod participants;
mod races;
