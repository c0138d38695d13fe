//! The validator: collects commitments, evaluates deltas, proposes a verdict or verifies one, and votes.

mod agree;
mod collect;
mod evaluate;
mod propose;
mod round_state;
mod validator;
mod verify;

pub use self::validator::{Closed, Registered, Validator};
pub use self::verify::{VerdictVerifier, VerifiedRound};
