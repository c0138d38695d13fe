//! Why a step could not be made.

use covey_model::error::BatchError;
use covey_optim::error::OptimError;

/// A step that could not be made; weights and moments are as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// The batch does not fit the network.
    #[error("the batch of step {step} cannot be read")]
    Batch {
        /// The step, counted from 1.
        step: u64,
        /// What is wrong with it.
        source: BatchError,
    },
    /// A gradient has a NaN or an infinity in it.
    #[error("at step {step} the gradient of {parameter} is not finite (loss {loss})")]
    NonFinite {
        /// The step, counted from 1.
        step: u64,
        /// The Hub's name of the first such parameter.
        parameter: String,
        /// Mean loss of the step.
        loss: f64,
    },
    /// The optimizer refuses its tensors.
    #[error("step {step} cannot be applied")]
    Optimizer {
        /// The step, counted from 1.
        step: u64,
        /// Its reason.
        source: OptimError,
    },
}

impl LearnError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Batch { source, .. } => source.hint(),
            Self::NonFinite { .. } => Some(
                "choose a lower learning rate: begin again, or go on from the last checkpoint with \
                 `--resume --set optim.learning_rate=…`"
                    .into(),
            ),
            Self::Optimizer { .. } => None,
        }
    }
}
