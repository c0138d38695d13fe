//! Distributed runs with a process for each peer and validator.

mod damage;
mod ledger;
mod peers;
mod rejections;
mod served;
mod status;
pub(crate) mod together;
mod validator_set;
