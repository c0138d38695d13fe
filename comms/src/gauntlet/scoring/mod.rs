//! From measured losses to ratings.
//!
//! A machine implements [`Evaluator`] to decode deltas and measure losses. This folder turns its
//! [`Measurement`]s into gradient scores, moving averages and ratings, and never runs a model.
//! Start with `evaluation.rs`.
//!
//! ```rust
//! use covey_comms::gauntlet::scoring::{Measurement, ProbeLosses};
//!
//! let own = ProbeLosses { before: 2.0, after: 1.8, typical: 1.9 };
//! let random = ProbeLosses { before: 2.0, after: 1.9, typical: 1.9 };
//! let measurement = Measurement { own, random };
//! // The gradient score: the relative gain on unassigned windows.
//! assert!((measurement.score() - 0.05).abs() < 1e-12);
//! // On its own windows the delta beats the typical delta, so it learned from them.
//! assert!(measurement.favours_own());
//! ```

mod evaluation;
mod evaluator;
mod rating;

pub(crate) use self::evaluation::{Evaluation, evaluate};
pub use self::evaluator::{
    Age, EvaluationRequest, Evaluator, EvaluatorError, Measurement, ProbeLosses,
};
pub use self::rating::{Rating, RatingError, play_match};
