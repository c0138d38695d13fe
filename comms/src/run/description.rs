//! The description of a run: everything on which all peers must agree before round 0.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::round_params::RoundParams;
use crate::agreement::ValidatorSet;
use crate::gauntlet::GauntletConfig;
use crate::primitives::{Digest, RunId, part_name};

const VERSION: u16 = 2;

/// The description of a run. The digest of its bytes is the run's id.
///
/// - The name has 1 to 100 characters, none of them a control character.
/// - The names of parts are relative paths without `..`.
/// - The validator set, the round parameters and the Gauntlet's settings satisfy the invariants of
///   [`ValidatorSet`], [`RoundParams`] and [`GauntletConfig`].
/// - Its encoding has at most [`Description::MAX_LENGTH`] bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The name of the run.
    pub name: String,
    /// The validators, and the number of signatures that a manifest needs.
    #[serde(rename = "quorum")]
    pub validator_set: ValidatorSet,
    /// The seed of all randomness in the run.
    pub seed: u64,
    /// The digest of the weights before round 0.
    pub genesis_weights: Digest,
    /// Digests of the run's parts (config, tokenizer, data), by name.
    pub parts: BTreeMap<String, Digest>,
    /// The parameters of rounds.
    pub rules: RoundParams,
    /// The settings of the Gauntlet.
    pub gauntlet: GauntletConfig,
}

/// The reason for which a description is rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// Longer than the limit.
    #[error("description of the run has {got} bytes, limit is {limit}")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
        /// The length in bytes.
        got: usize,
    },

    /// Not JSON, or not of the expected form.
    #[error("description of the run cannot be read")]
    NotReadable(#[source] serde_json::Error),

    /// Written by another release.
    #[error("description of the run has version {got}, this build reads {expected}")]
    UnknownVersion {
        /// The version of this build.
        expected: u16,
        /// The version of the description.
        got: u16,
    },

    /// Valid content in other bytes than the canonical encoding.
    #[error("description of the run is not in its canonical form")]
    NotCanonical,

    /// An invalid value.
    #[error("`{field}` of the run's description is {got}, but {reason}")]
    Invalid {
        /// The name of the value.
        field: String,
        /// The value.
        got: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
}

impl DescriptionError {
    /// Advice for the user, if there is any.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::UnknownVersion { .. } => "all peers of a run need the same release",
            Self::Invalid { .. } => "correct the value and create the run again",
            Self::TooLong { .. } => "name fewer parts",
            Self::NotReadable(_) | Self::NotCanonical => {
                "compare the URL of the bucket with the announced one"
            }
        };
        Some(text.into())
    }
}

/// The stored form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescriptionDocument<D> {
    version: u16,
    run: D,
}

/// The only field that is read from a document of an unknown version.
#[derive(Deserialize)]
struct DescriptionVersion {
    version: u16,
}

impl Description {
    /// The longest encoding in bytes.
    pub const MAX_LENGTH: usize = 1 << 20;

    /// The canonical encoding: indented JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let document = DescriptionDocument { version: VERSION, run: self };
        let mut bytes =
            serde_json::to_vec_pretty(&document).expect("names, numbers and maps by text are JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Parses the canonical encoding.
    ///
    /// # Errors
    /// The first problem found.
    pub fn parse(bytes: &[u8]) -> Result<Self, DescriptionError> {
        if bytes.len() > Self::MAX_LENGTH {
            return Err(DescriptionError::TooLong { limit: Self::MAX_LENGTH, got: bytes.len() });
        }
        let DescriptionVersion { version: got } =
            serde_json::from_slice(bytes).map_err(DescriptionError::NotReadable)?;
        if got != VERSION {
            return Err(DescriptionError::UnknownVersion { expected: VERSION, got });
        }
        let document: DescriptionDocument<Self> =
            serde_json::from_slice(bytes).map_err(DescriptionError::NotReadable)?;
        document.run.check()?;
        match document.run.to_bytes() == bytes {
            true => Ok(document.run),
            false => Err(DescriptionError::NotCanonical),
        }
    }

    /// The id of the described run.
    pub fn run_id(&self) -> RunId {
        RunId::of(&self.to_bytes())
    }

    /// Checks the invariants, as [`parse`](Self::parse) does.
    ///
    /// # Errors
    /// [`DescriptionError::Invalid`] or [`DescriptionError::TooLong`].
    pub fn check(&self) -> Result<(), DescriptionError> {
        let length = self.name.chars().count();
        if !(1..=100).contains(&length) || self.name.chars().any(char::is_control) {
            let reason = "a name has 1 to 100 characters, none of them a control character";
            return Err(invalid("name", format!("{:?}", self.name), reason));
        }
        if let Some((name, reason)) =
            self.parts.keys().find_map(|name| Some((name, part_name::problem(name)?)))
        {
            return Err(invalid("parts", format!("{name:?}"), reason));
        }
        if !self.validator_set.is_valid() {
            let got = format!(
                "{} of {}",
                self.validator_set.threshold(),
                self.validator_set.validators().len()
            );
            let reason = "there are 1 to 64 validators, of which more than half must agree";
            return Err(invalid("quorum", got, reason));
        }
        self.rules
            .check()
            .map_err(|(field, got, reason)| invalid(&format!("rules.{field}"), got, reason))?;
        self.gauntlet
            .check()
            .map_err(|(field, got, reason)| invalid(&format!("gauntlet.{field}"), got, reason))?;
        match self.to_bytes().len() {
            got if got > Self::MAX_LENGTH => {
                Err(DescriptionError::TooLong { limit: Self::MAX_LENGTH, got })
            }
            _ => Ok(()),
        }
    }
}

fn invalid(field: &str, got: String, reason: &'static str) -> DescriptionError {
    DescriptionError::Invalid { field: field.into(), got, reason }
}
