//! Distributed runs, each peer and validator a process.

mod ledger;
mod peers;
mod rejections;
mod served;
pub(crate) mod together;
mod validator_set;
