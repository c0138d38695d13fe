//! A validator of a distributed run: it measures what deltas do to the loss.

mod evaluator;
mod loss_probe;
mod probe_batches;
mod validator;

pub use self::evaluator::Examination;
pub use self::probe_batches::{ExaminationError, Questions};
pub(crate) use self::validator::settings;
pub use self::validator::{ClosedRound, Validation, ValidatorSetup};
