//! What can go wrong with a network and its files.

use std::fmt::Display;

/// A field of a model configuration that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value} {rule}")]
pub struct ConfigError {
    /// The field, named as in the Hub's `config.json`.
    pub field: &'static str,
    /// The value found.
    pub value: String,
    /// What it must be.
    pub rule: String,
}

impl ConfigError {
    pub(crate) fn new(field: &'static str, value: impl Display, rule: impl Into<String>) -> Self {
        Self { field, value: value.to_string(), rule: rule.into() }
    }
}
