//! What validators agree on and how a reader verifies it: validator sets, certificates, the chain of manifests.

mod certificate;
mod chain;
pub mod commitments;
pub mod draw;
mod validator_set;
mod vote;

pub use self::certificate::Certificate;
pub use self::chain::{BrokenChain, Chain};
pub use self::validator_set::ValidatorSet;
pub use self::vote::Vote;
