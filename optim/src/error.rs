//! Errors of settings, gradients and saved optimizer state.

use std::fmt::Display;

/// A setting that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {got} {rule}")]
pub struct SettingError {
    /// The setting, dotted when nested: `anneal.peak_ratio`, `rewinds[1].steps`.
    pub key: String,
    /// The value found.
    pub got: String,
    /// The rule as the end of a sentence: `must be above 0`.
    pub rule: String,
}

impl SettingError {
    pub(crate) fn new(key: impl Into<String>, got: impl Display, rule: impl Into<String>) -> Self {
        Self { key: key.into(), got: got.to_string(), rule: rule.into() }
    }
}

/// Collects the settings that break their rule.
#[derive(Default)]
pub(crate) struct SettingErrors(pub(crate) Vec<SettingError>);

impl SettingErrors {
    /// Records `key` unless `holds`.
    pub(crate) fn require(
        &mut self,
        holds: bool,
        key: impl Into<String>,
        got: impl Display,
        rule: &str,
    ) {
        if !holds {
            self.0.push(SettingError::new(key, got, rule));
        }
    }

    /// Records `key` unless its value is between 0 and 1.
    pub(crate) fn ratio(&mut self, key: &str, value: f64) {
        self.require((0.0..=1.0).contains(&value), key, value, "must be between 0 and 1");
    }
}

/// An optimizer step that cannot be made, or a state that does not fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OptimError {
    /// A gradient is NaN or infinite.
    // Checked before the step: one NaN in the global norm would spread to every weight.
    #[error("norm of gradient {index} is {norm}")]
    NonFiniteGradient {
        /// Place of the first such tensor in the list that was given.
        index: usize,
        /// Its norm: NaN or infinite.
        norm: f64,
    },

    /// The number of parameters differs from that of earlier steps.
    #[error("{got} parameters given, but the optimizer holds moments for {expected}")]
    ParameterCount {
        /// Parameters with moments.
        expected: usize,
        /// Parameters given.
        got: usize,
    },

    /// The length of a gradient or a moment differs from that of its parameter.
    #[error("{what} of parameter {index} has {got} elements, the parameter has {expected}")]
    Length {
        /// `gradient`, `first moment` or `second moment`.
        what: &'static str,
        /// Place of the parameter in the list that was given.
        index: usize,
        /// Elements of the parameter.
        expected: usize,
        /// Elements found.
        got: usize,
    },

    /// A tensor is not in fp32.
    // The CPU kernel reads storage as fp32, so another precision must not reach it.
    #[error("{what} of parameter {index} is {got}, not fp32")]
    Precision {
        /// `values` or `gradient`.
        what: &'static str,
        /// Place of the parameter in the list that was given.
        index: usize,
        /// The precision found.
        got: String,
    },
}

impl OptimError {
    /// Replaces the place of the tensor by its place in another list.
    #[cfg(feature = "burn")]
    pub(crate) fn at(mut self, place: impl Fn(usize) -> usize) -> Self {
        match &mut self {
            Self::NonFiniteGradient { index, .. }
            | Self::Length { index, .. }
            | Self::Precision { index, .. } => {
                *index = place(*index);
            }
            Self::ParameterCount { .. } => {}
        }
        self
    }

    /// Returns what the user can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NonFiniteGradient { .. } => Some(
                "lower the learning rate, lengthen the warm-up, or resume from an earlier \
                 checkpoint"
                    .into(),
            ),
            Self::ParameterCount { .. } | Self::Length { .. } => {
                Some("resume with the model of the checkpoint".into())
            }
            Self::Precision { .. } => None,
        }
    }
}
