//! Problems of a configuration: rules between keys, messages with their place, and the closest
//! valid name for a misspelt one.
//!
//! All problems are collected before any is reported, so a user corrects a file once. The rules
//! for a single value are in [`schema`](super::schema).
//!
//! ```rust
//! use covey::config::layers::{Layers, Purpose};
//!
//! let error = Layers::new().set("train.step=5").resolve(Purpose::Show).expect_err("is unknown");
//! assert_eq!(
//!     error.to_string(),
//!     "1 problem in the configuration\n  \
//!      --set  train.step = 5  unknown key, did you mean `train.steps`?"
//! );
//! ```

pub(crate) mod cross_checks;
mod error;
mod problem;
mod spelling;

pub(crate) use self::cross_checks::Facts;
pub use self::error::ConfigError;
pub use self::problem::{Problem, Problems};
pub(crate) use self::spelling::{nearest, nearest_group, nearest_key};
