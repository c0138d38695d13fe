//! Evaluation of a model on held-out text: loss, perplexity and bits per byte.
//!
//! This folder changes no weights, and it does not choose the text: the held-out split is fixed
//! when a dataset is prepared. Start with [`HeldOut`], which scores any [`LanguageModel`].
//!
//! ```
//! use covey::eval::Score;
//!
//! // 1,000 tokens for 4,000 bytes of text, at 4 bits per token.
//! let score = Score { tokens: 1000, bytes: 4000, total: 4000.0 * std::f64::consts::LN_2 };
//! assert!((score.perplexity() - 16.0).abs() < 1e-9);
//! assert!((score.bits_per_byte() - 1.0).abs() < 1e-9);
//! ```

mod held_out;

pub use self::held_out::{EvaluationError, HeldOut, LanguageModel, Score};
