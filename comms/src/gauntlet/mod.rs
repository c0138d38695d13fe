//! Who deserves trust: how peers are rated by what their deltas did.
//!
//! Pure logic on plain numbers: losses come from whoever has a network, verdicts go to whoever publishes them. Every
//! function gives the same bits on every machine, so that anybody can repeat a verdict.

pub mod examiner;
pub mod rating;
pub mod seed;
pub mod sketch;

pub use examiner::{Age, Examiner, ExaminerError, Losses, Measurement, Trial};
pub use rating::{Rating, RatingConfig, RatingError};
pub use seed::{RoundSecret, Seed};
pub use sketch::Sketch;
