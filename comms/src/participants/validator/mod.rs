//! The validator: it collects commitments, evaluates deltas, proposes or verifies a verdict, and
//! votes.
//!
//! | stage of a round | file |
//! |---|---|
//! | collect heartbeats, commitments, revealed deltas | `collect` |
//! | fetch, check and measure deltas | `evaluate` |
//! | make a verdict | `propose` |
//! | verify the verdict of another validator | `verify` |
//! | vote, count votes, certify the manifest | `agree` |
//!
//! All state is in the bucket or derived from the validator's key; no file is kept.

mod agree;
mod collect;
mod evaluate;
mod propose;
mod round_state;
mod validator;
mod verify;

pub use self::validator::{Closed, Registered, Validator};
pub use self::verify::{VerdictVerifier, VerifiedRound};
