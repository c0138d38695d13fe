//! Weights at the start of a round, stored by the coordinator for whoever joins.
//!
//! A checkpoint is a signed description and parts that are named by their digests. The description is the payload of an
//! envelope of kind [`Kind::Checkpoint`](super::envelope::Kind::Checkpoint) whose base is the lineage of the weights; it is written last and removed first,
//! so a checkpoint with a description is whole.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::lineage::Lineage;
use crate::primitives::{Digest, Round, part_name};

/// Why the content of a checkpoint's description is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointFormatError {
    /// Not JSON, or not of the right form.
    #[error("description of the checkpoint cannot be read")]
    NotReadable(#[source] serde_json::Error),

    /// The right content in other bytes than the one encoding.
    #[error("description of the checkpoint is not in its canonical form")]
    NotCanonical,

    /// A part that no checkpoint can have.
    #[error("part {name:?} of the checkpoint is refused: {reason}")]
    Part {
        /// The part's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The round has a checkpoint of other weights.
    #[error("{round} has a checkpoint of weights {got} already, not {expected}")]
    OtherWeights {
        /// The round.
        round: Round,
        /// The digest of our weights.
        expected: Digest,
        /// The digest of the stored ones.
        got: Digest,
    },
}

impl CheckpointFormatError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::OtherWeights { .. } => {
                "two validators disagree on the weights: the manifest says which are right"
            }
            _ => "use another checkpoint; its validator has to answer for this one",
        };
        Some(text.into())
    }
}

/// What a checkpoint consists of.
///
/// - Names of parts are unique relative paths that lead nowhere but down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointDescription {
    /// The round that starts from these weights.
    pub round: Round,
    /// Their lineage.
    pub lineage: Lineage,
    /// Their digest.
    pub weights: Digest,
    /// Rounds before this one that were not void.
    pub outer_steps: u64,
    /// Where they are stored.
    pub parts: Vec<CheckpointPart>,
}

/// One object of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointPart {
    /// What it is called.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub length: u64,
}

/// The payload; round and lineage stand in the envelope.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    weights: Digest,
    outer_steps: u64,
    parts: Vec<CheckpointPart>,
}

impl CheckpointDescription {
    /// The longest payload in bytes.
    pub const MAX_LENGTH: u64 = 1 << 20;

    /// The one encoding of everything but round and lineage: JSON without white space.
    pub fn to_payload(&self) -> Vec<u8> {
        let Self { weights, outer_steps, .. } = *self;
        let payload = Payload { weights, outer_steps, parts: self.parts.clone() };
        serde_json::to_vec(&payload).expect("texts, numbers and lists are JSON")
    }

    /// Reads the encoding back; round and lineage come from the envelope.
    ///
    /// # Errors
    /// [`CheckpointFormatError`] with the first thing that is wrong.
    pub fn parse(
        payload: &[u8],
        round: Round,
        lineage: Lineage,
    ) -> Result<Self, CheckpointFormatError> {
        let Payload { weights, outer_steps, parts } =
            serde_json::from_slice(payload).map_err(CheckpointFormatError::NotReadable)?;
        let description = Self { round, lineage, weights, outer_steps, parts };
        description.check()?;
        match description.to_payload() == payload {
            true => Ok(description),
            false => Err(CheckpointFormatError::NotCanonical),
        }
    }

    pub(crate) fn check(&self) -> Result<(), CheckpointFormatError> {
        let mut names = BTreeSet::new();
        for CheckpointPart { name, .. } in &self.parts {
            let repeated = (!names.insert(name)).then_some("its name is used twice");
            if let Some(reason) = part_name::problem(name).or(repeated) {
                return Err(CheckpointFormatError::Part { name: name.clone(), reason });
            }
        }
        Ok(())
    }
}
