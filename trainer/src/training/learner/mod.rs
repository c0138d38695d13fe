//! One training step, on one device or several.

mod compression;
mod error;
mod learner;
mod open;
mod sharded_weights;

pub use self::error::LearnError;
pub use self::learner::{Learner, StepOutcome};
pub(crate) use self::open::{advice, devices, memory_limit, room};
pub use self::sharded_weights::LearnerWeights;
