//! From losses to ratings: what is measured, how it is compared, and the OpenSkill rating.

mod evaluation;
mod evaluator;
mod rating;

pub(crate) use self::evaluation::Evaluation;
pub use self::evaluator::{
    Age, EvaluationRequest, Evaluator, EvaluatorError, Measurement, ProbeLosses,
};
pub use self::rating::{Rating, RatingConfig, RatingError};
