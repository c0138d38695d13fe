//! The ledger: every keeper of it, what is found in a damaged one, and what its entries amount to.
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
