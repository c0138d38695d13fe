//! Errors of the configuration, each with its place and the closest valid name.

pub(crate) mod cross_checks;
mod error;
mod problem;
mod spelling;

pub(crate) use self::cross_checks::Facts;
pub use self::error::ConfigError;
pub use self::problem::{Problem, Problems};
pub(crate) use self::spelling::{nearest, nearest_group, nearest_key};
