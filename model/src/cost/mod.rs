//! What a step costs: FLOPs per token and bytes of activations.

mod activation_memory;
mod flops;

pub use self::activation_memory::{ActivationMemory, StepShape};
pub use self::flops::FlopsPerToken;
