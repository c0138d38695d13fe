//! Checkpoints of the shared weights in the bucket: publishing, listing and reading them.

use bytes::Bytes;

use crate::objects::envelope::{Author, Envelope, Expectation, Kind, Subject};
use crate::objects::{
    CheckpointDescription, CheckpointFormatError, CheckpointPart, Key, Lineage, Prefix,
};
use crate::primitives::{Digest, Keypair, Round};
use crate::run::{CommsError, Run, check_content, put_parts};

impl Run {
    /// Publishes the weights at the start of `round`: first the parts, last the signed description.
    ///
    /// If the bucket already has a checkpoint of the same weights, it is returned unchanged.
    ///
    /// # Errors
    /// [`CommsError::NotValidator`]; [`CheckpointFormatError::OtherWeights`] if the round has a
    /// checkpoint of other weights; [`CheckpointFormatError::Part`]; errors of the bucket.
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
        let entries = parts
            .iter()
            .map(|(name, part): &(String, Bytes)| CheckpointPart {
                name: name.clone(),
                digest: Digest::of(part),
                length: part.len() as u64,
            })
            .collect();
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
        // Every validator may publish the same checkpoint; the first description is kept.
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

    /// The rounds that have a checkpoint, ascending.
    ///
    /// # Errors
    /// Errors of the bucket.
    pub async fn checkpoints(&self) -> Result<Vec<Round>, CommsError> {
        let listing = self.bucket().list(&Prefix::Checkpoints, None).await?;
        let round = |key| match key {
            Key::CheckpointDescription(round) => Some(round),
            _ => None,
        };
        Ok(listing.iter().filter_map(|listed| round(listed.key)).collect())
    }

    /// Reads the description of the checkpoint of `round`, signed by a validator.
    ///
    /// # Errors
    /// [`CommsError::CheckpointGone`] if there is none; errors of the object, or of the bucket.
    pub async fn checkpoint(&self, round: Round) -> Result<CheckpointDescription, CommsError> {
        let expectation = Expectation {
            run: self.id(),
            kind: Kind::Checkpoint,
            round: Some(round),
            base: None,
            author: Author::Among(self.description().validator_set.validators()),
            max_payload: CheckpointDescription::MAX_LENGTH,
        };
        let fetched = self
            .fetch(&Key::CheckpointDescription(round), expectation.max_object(), |object| {
                let envelope = Envelope::open(&object, &expectation)?;
                let lineage = envelope.header().subject.base;
                Ok(CheckpointDescription::parse(envelope.payload(), round, lineage)?)
            })
            .await;
        fetched.map_err(|error| gone(error, round))
    }

    /// Reads a part of the checkpoint of `round` and checks its length and digest.
    ///
    /// # Errors
    /// [`CommsError::CheckpointGone`], [`CommsError::WrongLength`], [`CommsError::WrongContent`],
    /// or errors of the bucket.
    pub async fn checkpoint_part(
        &self,
        round: Round,
        part: &CheckpointPart,
    ) -> Result<Bytes, CommsError> {
        let what = || format!("part `{}` of the checkpoint of {round}", part.name);
        let fetched =
            self.fetch(&Key::CheckpointPart(round, part.digest), part.length, |bytes: Bytes| {
                match bytes.len() as u64 {
                    got if got == part.length => check_content(bytes, part.digest, what),
                    got => {
                        Err(CommsError::WrongLength { what: what(), expected: part.length, got })
                    }
                }
            })
            .await;
        fetched.map_err(|error| gone(error, round))
    }
}

/// Turns absence into [`CommsError::CheckpointGone`]: the round came from a listing, so the
/// checkpoint existed.
fn gone(error: CommsError, round: Round) -> CommsError {
    match error.is_absence() {
        true => CommsError::CheckpointGone { round },
        false => error,
    }
}
