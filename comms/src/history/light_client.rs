//! The light client: it follows the manifests of a run and verifies each against the one before.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::agreement::{Certificate, Chain};
use crate::membership::Slot;
use crate::objects::envelope::Header;
use crate::objects::{CheckpointDescription, DeltaRef, Key, Lineage, Manifest};
use crate::primitives::{Digest, PeerId, Round, Timestamp};
use crate::run::{CONCURRENCY, CommsError, Run};

/// The position of a light client, saved together with the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct LightClientState {
    /// The round that starts from these weights.
    pub next: Round,
    /// The lineage of the weights.
    pub head: Lineage,
    /// Number of rounds so far that were not void.
    pub outer_steps: u64,
    /// The manifest of the previous round, if there was one.
    pub last: Option<Manifest>,
}

/// Follows a run manifest by manifest, and trusts only what its validators certified.
#[derive(Clone, Debug)]
pub struct LightClient {
    run: Run,
    chain: Chain,
    outer_steps: u64,
    last: Option<Manifest>,
}

impl LightClient {
    /// Starts before round 0.
    pub fn genesis(run: Run) -> Self {
        let head = Lineage::genesis(run.id());
        Self::resume(run, LightClientState { next: Round::FIRST, head, outer_steps: 0, last: None })
    }

    /// Resumes at a position that was verified before.
    pub fn resume(run: Run, position: LightClientState) -> Self {
        let LightClientState { next, head, outer_steps, last } = position;
        let chain = Chain::resume(run.id(), run.description().validator_set.clone(), head, next);
        Self { run, chain, outer_steps, last }
    }

    /// Starts at a checkpoint. The manifest of the previous round is read as well: it assigns the
    /// slots.
    ///
    /// # Errors
    /// Errors of that manifest, or of the bucket.
    pub async fn from_checkpoint(
        run: Run,
        checkpoint: &CheckpointDescription,
    ) -> Result<Self, CommsError> {
        let CheckpointDescription { round: next, lineage: head, outer_steps, .. } = *checkpoint;
        let last = match next.before() {
            Some(round) => Some(run.manifest_leading_to(round, head).await?),
            None => None,
        };
        Ok(Self::resume(run, LightClientState { next, head, outer_steps, last }))
    }

    /// The current position.
    pub fn position(&self) -> LightClientState {
        LightClientState {
            next: self.next(),
            head: self.head(),
            outer_steps: self.outer_steps,
            last: self.last.clone(),
        }
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The next round to be decided.
    pub fn next(&self) -> Round {
        self.chain.next()
    }

    /// The lineage of the weights at the start of the next round.
    pub fn head(&self) -> Lineage {
        self.chain.head()
    }

    /// Number of rounds so far that were not void.
    pub fn outer_steps(&self) -> u64 {
        self.outer_steps
    }

    /// The manifest of the previous round, if there was one.
    pub fn last(&self) -> Option<&Manifest> {
        self.last.as_ref()
    }

    /// The slot of `peer` in the next round, if it has one.
    pub fn slot(&self, peer: PeerId) -> Option<Slot> {
        Slot::of(peer, self.last()?)
    }

    /// Reads the manifest of the next round, if it exists, and advances past that round.
    ///
    /// # Errors
    /// [`CommsError::Chain`] if the manifest does not continue the run; errors of the bucket.
    pub async fn poll(&mut self) -> Result<Option<Manifest>, CommsError> {
        // The chain advances only if the whole manifest is valid: a damaged download is repeated.
        let (run, chain) = (self.run.clone(), self.chain.clone());
        let (manifest, chain) = match run
            .fetch(&Key::Manifest(self.next()), Certificate::max_length(), |object: Bytes| {
                let mut chain = chain.clone();
                Ok((chain.extend(&object)?, chain))
            })
            .await
        {
            Err(error) if error.is_absence() => return Ok(None),
            outcome => outcome?,
        };
        self.advance(chain, &manifest);
        Ok(Some(manifest))
    }

    fn advance(&mut self, chain: Chain, manifest: &Manifest) {
        let (round, included) = (manifest.round().0, manifest.included().len());
        let excluded = manifest.excluded().len();
        tracing::info!(round, included, excluded, "following a manifest");
        self.chain = chain;
        self.outer_steps += u64::from(!manifest.is_void());
        self.last = Some(manifest.clone());
    }

    /// Polls at intervals of `every` for the manifest of the next round. `None` if there is none at
    /// `until`.
    ///
    /// # Errors
    /// Errors of [`poll`](Self::poll).
    pub async fn wait(
        &mut self,
        every: Duration,
        until: Timestamp,
    ) -> Result<Option<Manifest>, CommsError> {
        let clock = self.run.clock().clone();
        loop {
            let manifest = self.poll().await?;
            if manifest.is_some() || clock.now() >= until {
                return Ok(manifest);
            }
            clock.sleep_until(until.min(clock.now() + every)).await;
        }
    }

    /// Reads the payloads of all deltas that `manifest` includes, and checks their lengths and
    /// digests.
    ///
    /// # Errors
    /// [`CommsError::DeltaGone`] if a delta was removed; [`CommsError::WrongLength`] or
    /// [`CommsError::WrongContent`] if one was replaced; [`CommsError::CannotOpenBucket`] or
    /// [`CommsError::BucketUnreachable`] if one is in an own bucket that cannot be read; errors of
    /// the run's bucket.
    pub async fn gather(&self, manifest: &Manifest) -> Result<BTreeMap<PeerId, Bytes>, CommsError> {
        self.run.gather(manifest).await
    }
}

impl Run {
    /// See [`LightClient::gather`].
    pub(crate) async fn gather(
        &self,
        manifest: &Manifest,
    ) -> Result<BTreeMap<PeerId, Bytes>, CommsError> {
        let round = manifest.round();
        let deltas = manifest.included().iter().map(|(peer, delta_ref)| (*peer, *delta_ref));
        let fetches: Vec<_> =
            deltas.map(|(peer, delta_ref)| self.delta(round, peer, delta_ref)).collect();
        iter(fetches).buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn delta(
        &self,
        round: Round,
        peer: PeerId,
        delta_ref: DeltaRef,
    ) -> Result<(PeerId, Bytes), CommsError> {
        let limit = delta_ref.length.saturating_add(Header::LENGTH as u64);
        match self
            .fetch_delta(round, peer, limit, |object: Bytes| {
                payload_of(&object, limit, delta_ref.digest, round, peer)
            })
            .await
        {
            Err(error) if error.is_absence() => Err(CommsError::DeltaGone { round, peer }),
            outcome => Ok((peer, outcome?)),
        }
    }
}

/// The payload of a delta's object. No signature is checked: the manifest contains the digest.
fn payload_of(
    object: &Bytes,
    length: u64,
    expected: Digest,
    round: Round,
    peer: PeerId,
) -> Result<Bytes, CommsError> {
    let what = || format!("the delta of {} for {round}", peer.short());
    // Bytes after the payload would be ignored by a reader that trusts the header alone.
    let got = object.len() as u64;
    if got != length || object.len() < Header::LENGTH {
        return Err(CommsError::WrongLength { what: what(), expected: length, got });
    }
    let payload = object.slice(Header::LENGTH..);
    match Digest::of(&payload) {
        digest if digest == expected => Ok(payload),
        got => Err(CommsError::WrongContent { what: what(), expected, got }),
    }
}
