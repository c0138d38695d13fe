//! A validator of a distributed run: it measures the effect of deltas on the loss, closes rounds,
//! and publishes checkpoints.
//!
//! The scoring rules are in `covey_comms::gauntlet`, and this folder only supplies measurements.
//! Start with [`Validation`]; [`DeltaEvaluator`] measures.

mod evaluator;
mod loss_probe;
mod probe_batches;
mod validator;

pub use self::evaluator::DeltaEvaluator;
pub use self::probe_batches::{DeltaEvaluationError, ProbeBatches};
pub(crate) use self::validator::settings;
pub use self::validator::{ClosedRound, Validation, ValidatorSetup};
