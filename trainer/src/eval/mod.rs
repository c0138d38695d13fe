//! Loss of a model on held-out data.

mod held_out;

pub use self::held_out::{EvaluationError, HeldOut, LanguageModel, Score};
