//! Errors of a training step.

use crate::system::error::Hint;
use covey_model::error::BatchError;
use covey_optim::error::OptimError;

/// A failed training step. Weights and moments are unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// The batch does not fit the model.
    #[error("the batch of step {step} cannot be read")]
    Batch {
        /// The step, counted from 1.
        step: u64,
        /// The error of the batch.
        source: BatchError,
    },
    /// A gradient contains a NaN or an infinity.
    #[error("at step {step} the gradient of {parameter} is not finite (loss {loss})")]
    NonFinite {
        /// The step, counted from 1.
        step: u64,
        /// Name on the Hub of the first such parameter.
        parameter: String,
        /// Mean loss of the step.
        loss: f64,
    },
    /// The optimizer rejected the tensors.
    #[error("step {step} cannot be applied")]
    Optimizer {
        /// The step, counted from 1.
        step: u64,
        /// The error of the optimizer.
        source: OptimError,
    },
}

impl Hint for LearnError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Batch { source, .. } => source.hint(),
            Self::NonFinite { .. } => Some(
                // Training is deterministic: resuming with the same settings fails at the same
                // step.
                "lower the learning rate: start again, or continue from the last checkpoint with \
                 `--resume --set optim.learning_rate=…`"
                    .into(),
            ),
            Self::Optimizer { source, .. } => source.hint(),
        }
    }
}
