//! Weights at the start of a round, stored by the coordinator for whoever joins.
//!
//! A checkpoint is a signed description and parts that are named by their digests. The description is the payload of an
//! envelope of kind [`Kind::Checkpoint`] whose base is the lineage of the weights; it is written last and removed first,
//! so a checkpoint with a description is whole.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::key::{Key, Prefix};
use super::lineage::Lineage;
use crate::objects::envelope::{Author, Envelope, Expectation, Kind, Subject};
use crate::primitives::{Digest, Keypair, Round, part_name};
use crate::run::{CommsError, Run, check_content, put_parts};

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

    fn check(&self) -> Result<(), CheckpointFormatError> {
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

impl Run {
    /// Stores the weights at the start of `round`: first the parts, last the signed description.
    ///
    /// A checkpoint of the same weights that is there already is left as it is and returned.
    ///
    /// # Errors
    /// [`CommsError::NotValidator`]; [`CheckpointFormatError::OtherWeights`] if the round's checkpoint is another;
    /// [`CheckpointFormatError::Part`]; or what the bucket says.
    pub async fn publish_checkpoint(
        &self,
        validator: &Keypair,
        round: Round,
        lineage: Lineage,
        weights: Digest,
        outer_steps: u64,
        parts: Vec<(String, Bytes)>,
    ) -> Result<CheckpointDescription, CommsError> {
        self.check_validator(validator)?;
        let entry = |(name, part): &(String, Bytes)| CheckpointPart {
            name: name.clone(),
            digest: Digest::of(part),
            length: part.len() as u64,
        };
        let entries = parts.iter().map(entry).collect();
        let description =
            CheckpointDescription { round, lineage, weights, outer_steps, parts: entries };
        description.check()?;
        put_parts(self.bucket().as_ref(), parts.iter().map(|(_, part)| part), |digest| {
            Key::CheckpointPart(round, digest)
        })
        .await?;
        self.put_description(validator, description).await
    }

    async fn put_description(
        &self,
        validator: &Keypair,
        description: CheckpointDescription,
    ) -> Result<CheckpointDescription, CommsError> {
        let CheckpointDescription { round, lineage, weights: expected, .. } = description;
        let subject = Subject { run: self.id(), round, kind: Kind::Checkpoint, base: lineage };
        let object = Envelope::seal(validator, subject, description.to_payload().into()).to_bytes();
        if self.bucket().put_new(&Key::CheckpointDescription(round), object).await?.is_stored() {
            return Ok(description);
        }
        let stored = self.checkpoint(round).await?;
        match stored.lineage == lineage && stored.weights == expected {
            true => Ok(stored),
            false => {
                Err(CheckpointFormatError::OtherWeights { round, expected, got: stored.weights }
                    .into())
            }
        }
    }

    /// The rounds whose weights can be had, ascending.
    ///
    /// # Errors
    /// What the bucket says.
    pub async fn checkpoints(&self) -> Result<Vec<Round>, CommsError> {
        let listing = self.bucket().list(&Prefix::Checkpoints, None).await?;
        let round = |key| match key {
            Key::CheckpointDescription(round) => Some(round),
            _ => None,
        };
        Ok(listing.iter().filter_map(|listed| round(listed.key)).collect())
    }

    /// The description of the weights at the start of `round`, signed by a validator.
    ///
    /// # Errors
    /// [`CommsError::CheckpointGone`] if there is none, what is wrong with it, or what the bucket says.
    pub async fn checkpoint(&self, round: Round) -> Result<CheckpointDescription, CommsError> {
        let expectation = Expectation {
            run: self.id(),
            kind: Kind::Checkpoint,
            round: Some(round),
            base: None,
            author: Author::Among(self.description().validator_set.validators()),
            max_payload: CheckpointDescription::MAX_LENGTH,
        };
        let check = |object| {
            let envelope = Envelope::open(&object, &expectation)?;
            let lineage = envelope.header().subject.base;
            Ok(CheckpointDescription::parse(envelope.payload(), round, lineage)?)
        };
        let fetched =
            self.fetch(&Key::CheckpointDescription(round), expectation.max_object(), check).await;
        fetched.map_err(|error| gone(error, round))
    }

    /// A part of the checkpoint of `round`, held to its length and digest.
    ///
    /// # Errors
    /// [`CommsError::CheckpointGone`], [`CommsError::WrongLength`], [`CommsError::WrongContent`], or what the bucket says.
    pub async fn checkpoint_part(
        &self,
        round: Round,
        part: &CheckpointPart,
    ) -> Result<Bytes, CommsError> {
        let what = || format!("part `{}` of the checkpoint of {round}", part.name);
        let check = |bytes: Bytes| match bytes.len() as u64 {
            got if got == part.length => check_content(bytes, part.digest, what),
            got => Err(CommsError::WrongLength { what: what(), expected: part.length, got }),
        };
        let fetched =
            self.fetch(&Key::CheckpointPart(round, part.digest), part.length, check).await;
        fetched.map_err(|error| gone(error, round))
    }

    /// Refuses an identity whose manifests and checkpoints nobody would believe.
    pub(crate) fn check_validator(&self, identity: &Keypair) -> Result<(), CommsError> {
        match identity.peer() {
            got if self.description().validator_set.contains(got) => Ok(()),
            got => Err(CommsError::NotValidator { got }),
        }
    }
}

/// Says of what is absent that it was removed: checkpoints are asked for because they were listed.
fn gone(error: CommsError, round: Round) -> CommsError {
    match error.is_absence() {
        true => CommsError::CheckpointGone { round },
        false => error,
    }
}
