//! Commands of the ledger.

pub(crate) mod ledger;
pub(crate) mod peer;
mod scores;
