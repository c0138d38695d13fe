//! A validator of a distributed run: it measures what deltas do to the loss.

mod evaluator;
mod loss_probe;
mod probe_batches;
mod validator;

pub use self::evaluator::DeltaEvaluator;
pub use self::probe_batches::{DeltaEvaluationError, ProbeBatches};
pub(crate) use self::validator::settings;
pub use self::validator::{ClosedRound, Validation, ValidatorSetup};
