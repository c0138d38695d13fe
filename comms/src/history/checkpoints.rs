//! Checkpoints of the shared weights in the bucket: publishing, listing and reading them.

use bytes::Bytes;

use crate::objects::envelope::{Author, Envelope, Expectation, Kind, Subject};
use crate::objects::{
    CheckpointDescription, CheckpointFormatError, CheckpointPart, Key, Lineage, Prefix,
};
use crate::primitives::{Digest, Keypair, Round};
use crate::run::{CommsError, Run, check_content, put_parts};

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
}

/// Says of what is absent that it was removed: checkpoints are asked for because they were listed.
fn gone(error: CommsError, round: Round) -> CommsError {
    match error.is_absence() {
        true => CommsError::CheckpointGone { round },
        false => error,
    }
}
