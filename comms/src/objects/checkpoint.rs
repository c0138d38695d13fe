//! The description of a checkpoint: the shared weights at the start of a round, for peers that
//! join.
//!
//! A checkpoint is a signed description and parts that are named by their digests. The description
//! is the payload of an envelope of kind [`Kind::Checkpoint`](super::envelope::Kind::Checkpoint)
//! with the lineage of the weights as its base. It is written last and removed first, so a
//! checkpoint with a description is complete.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::lineage::Lineage;
use crate::primitives::{Digest, Round, part_name};

/// The reason for which a checkpoint's description is rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointFormatError {
    /// Not JSON, or not of the expected form.
    #[error("description of the checkpoint cannot be read")]
    NotReadable(#[source] serde_json::Error),

    /// Valid content in other bytes than the canonical encoding.
    #[error("description of the checkpoint is not in its canonical form")]
    NotCanonical,

    /// An invalid part.
    #[error("part {name:?} of the checkpoint is refused: {reason}")]
    Part {
        /// The name of the part.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },

    /// The round already has a checkpoint of other weights.
    #[error("{round} has a checkpoint of weights {got} already, not {expected}")]
    OtherWeights {
        /// The round.
        round: Round,
        /// The digest of this validator's weights.
        expected: Digest,
        /// The digest of the stored weights.
        got: Digest,
    },
}

impl CheckpointFormatError {
    /// Advice for the user, if there is any.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::OtherWeights { .. } => {
                "two validators disagree: compare the weights with the previous round's manifest"
            }
            _ => "use another checkpoint, and report the validator that signed this one",
        };
        Some(text.into())
    }
}

/// The description of a checkpoint.
///
/// - Names of parts are unique relative paths without `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointDescription {
    /// The round that starts from these weights.
    pub round: Round,
    /// The lineage of the weights.
    pub lineage: Lineage,
    /// The digest of the weights.
    pub weights: Digest,
    /// Number of rounds before this one that were not void.
    pub outer_steps: u64,
    /// The objects that hold the weights.
    pub parts: Vec<CheckpointPart>,
}

/// One object of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointPart {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub length: u64,
}

/// The payload. Round and lineage are in the envelope.
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

    /// The canonical encoding of everything except round and lineage: JSON without white space.
    pub fn to_payload(&self) -> Vec<u8> {
        let Self { weights, outer_steps, .. } = *self;
        let payload = Payload { weights, outer_steps, parts: self.parts.clone() };
        serde_json::to_vec(&payload).expect("texts, numbers and lists are JSON")
    }

    /// Parses the canonical encoding. Round and lineage come from the envelope.
    ///
    /// # Errors
    /// The first problem found, as a [`CheckpointFormatError`].
    pub fn parse(
        payload: &[u8],
        round: Round,
        lineage: Lineage,
    ) -> Result<Self, CheckpointFormatError> {
        let Payload { weights, outer_steps, parts } =
            serde_json::from_slice(payload).map_err(CheckpointFormatError::NotReadable)?;
        let description = Self { round, lineage, weights, outer_steps, parts };
        description.check()?;
        // One description must not have two digests, so other notations of the same JSON are
        // invalid.
        match description.to_payload() == payload {
            true => Ok(description),
            false => Err(CheckpointFormatError::NotCanonical),
        }
    }

    pub(crate) fn check(&self) -> Result<(), CheckpointFormatError> {
        let mut names = BTreeSet::new();
        for CheckpointPart { name, .. } in &self.parts {
            // Two parts of one name would overwrite each other in a reader's folder.
            let repeated = (!names.insert(name)).then_some("its name is used twice");
            if let Some(reason) = part_name::problem(name).or(repeated) {
                return Err(CheckpointFormatError::Part { name: name.clone(), reason });
            }
        }
        Ok(())
    }
}
