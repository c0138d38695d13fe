//! What a run is: everything that all its peers must agree on before the first round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::round_params::RoundParams;
use crate::agreement::ValidatorSet;
use crate::gauntlet::GauntletConfig;
use crate::primitives::{Digest, RunId, part_name};

const VERSION: u16 = 2;

/// The founding document of a run; the digest of its bytes is the run's id.
///
/// - The name has 1 to 100 characters, none of them a control character.
/// - The names of parts are relative paths that lead nowhere but down.
/// - Validators, rules and the Gauntlet's constants hold what [`ValidatorSet`], [`RoundParams`] and [`GauntletConfig`] promise.
/// - Its encoding has at most [`Description::MAX_LENGTH`] bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What people call the run.
    pub name: String,
    /// Whose manifests and checkpoints count, and how many must agree.
    #[serde(rename = "quorum")]
    pub validator_set: ValidatorSet,
    /// What all randomness of the run comes from.
    pub seed: u64,
    /// The digest of the weights before round 0.
    pub genesis_weights: Digest,
    /// Digests of what belongs to the run, by name: config, tokenizer, data.
    pub parts: BTreeMap<String, Digest>,
    /// How rounds are played.
    pub rules: RoundParams,
    /// How deltas are judged.
    pub gauntlet: GauntletConfig,
}

/// Why a description is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// Larger than any description.
    #[error("description of the run has {got} bytes, limit is {limit}")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
        /// Its length in bytes.
        got: usize,
    },

    /// Not JSON, or not of the right form.
    #[error("description of the run cannot be read")]
    NotReadable(#[source] serde_json::Error),

    /// Written by another release.
    #[error("description of the run has version {got}, this build reads {expected}")]
    UnknownVersion {
        /// The version of this build.
        expected: u16,
        /// The description's.
        got: u16,
    },

    /// The right content in other bytes than the one encoding.
    #[error("description of the run is not in its canonical form")]
    NotCanonical,

    /// A value that no run can have.
    #[error("`{field}` of the run's description is {got}, but {reason}")]
    Invalid {
        /// The value's name.
        field: String,
        /// The value.
        got: String,
        /// What it must be.
        reason: &'static str,
    },
}

impl DescriptionError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::UnknownVersion { .. } => "all peers of a run need the same release",
            Self::Invalid { .. } => "correct the value and found the run again",
            Self::TooLong { .. } => "name fewer parts",
            Self::NotReadable(_) | Self::NotCanonical => {
                "compare the bucket's address with the announced one"
            }
        };
        Some(text.into())
    }
}

/// The document as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescriptionDocument<D> {
    version: u16,
    run: D,
}

/// The only field that is read of a document of an unknown version.
#[derive(Deserialize)]
struct DescriptionVersion {
    version: u16,
}

impl Description {
    /// The longest encoding in bytes.
    pub const MAX_LENGTH: usize = 1 << 20;

    /// The one encoding of this description: indented JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let document = DescriptionDocument { version: VERSION, run: self };
        let mut bytes =
            serde_json::to_vec_pretty(&document).expect("names, numbers and maps by text are JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the encoding back.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
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

    /// The name of the run that this describes.
    pub fn run_id(&self) -> RunId {
        RunId::of(&self.to_bytes())
    }

    /// Holds the description to its invariants, as [`parse`](Self::parse) does.
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
