//! The history of a run as one reader knows it, one verified round after the other.

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

/// How far a follower has come, to be kept beside the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct LightClientState {
    /// The round that starts from these weights.
    pub next: Round,
    /// Their lineage.
    pub head: Lineage,
    /// Rounds so far that were not void.
    pub outer_steps: u64,
    /// The manifest of the round before, if there was one.
    pub last: Option<Manifest>,
}

/// Reads a run round by round and believes nothing that does not follow from what it knows.
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

    /// Goes on from a position that was verified before.
    pub fn resume(run: Run, position: LightClientState) -> Self {
        let LightClientState { next, head, outer_steps, last } = position;
        let chain = Chain::resume(run.id(), run.description().validator_set.clone(), head, next);
        Self { run, chain, outer_steps, last }
    }

    /// Starts from a checkpoint; the manifest of the round before it is fetched, because it assigns the seats.
    ///
    /// # Errors
    /// What is wrong with that manifest, or what the bucket says.
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

    /// Where the follower stands.
    pub fn position(&self) -> LightClientState {
        LightClientState {
            next: self.next(),
            head: self.head(),
            outer_steps: self.outer_steps,
            last: self.last.clone(),
        }
    }

    /// The run that is followed.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The round whose manifest comes next.
    pub fn next(&self) -> Round {
        self.chain.next()
    }

    /// The lineage of the weights at the start of the next round.
    pub fn head(&self) -> Lineage {
        self.chain.head()
    }

    /// Rounds so far that were not void.
    pub fn outer_steps(&self) -> u64 {
        self.outer_steps
    }

    /// The manifest of the round before the next, if there was one.
    pub fn last(&self) -> Option<&Manifest> {
        self.last.as_ref()
    }

    /// Where `peer` sits in the next round, if it has a seat.
    pub fn slot(&self, peer: PeerId) -> Option<Slot> {
        Slot::of(peer, self.last()?)
    }

    /// The manifest of the next round, if it is there; the follower then stands after that round.
    ///
    /// # Errors
    /// [`CommsError::Chain`] if it does not continue the run, or what the bucket says.
    pub async fn poll(&mut self) -> Result<Option<Manifest>, CommsError> {
        let (run, chain) = (self.run.clone(), self.chain.clone());
        let check = |object: Bytes| {
            let mut chain = chain.clone();
            Ok((chain.extend(&object)?, chain))
        };
        let (manifest, chain) =
            match run.fetch(&Key::Manifest(self.next()), Certificate::max_length(), check).await {
                Err(error) if error.is_absence() => return Ok(None),
                outcome => outcome?,
            };
        self.stand_after(chain, &manifest);
        Ok(Some(manifest))
    }

    fn stand_after(&mut self, chain: Chain, manifest: &Manifest) {
        self.chain = chain;
        self.outer_steps += u64::from(!manifest.is_void());
        self.last = Some(manifest.clone());
    }

    /// The manifest of the next round as soon as it is there, asked for `every` so often; nothing once it is `until`.
    ///
    /// # Errors
    /// Those of [`poll`](Self::poll).
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

    /// The payloads of all deltas that `manifest` includes, held to their lengths and digests.
    ///
    /// # Errors
    /// [`CommsError::DeltaGone`] if one was removed, [`CommsError::WrongLength`] or [`CommsError::WrongContent`] if one
    /// was replaced, [`CommsError::CannotOpenBucket`] or [`CommsError::BucketUnreachable`] if one lies in a peer's own bucket that is out of reach,
    /// or what the run's bucket says.
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
        let check = |object: Bytes| payload_of(&object, limit, delta_ref.digest, round, peer);
        match self.fetch_delta(round, peer, limit, check).await {
            Err(error) if error.is_absence() => Err(CommsError::DeltaGone { round, peer }),
            outcome => Ok((peer, outcome?)),
        }
    }
}

/// The payload in a delta's object, which a manifest vouches for: no signature is needed.
fn payload_of(
    object: &Bytes,
    length: u64,
    expected: Digest,
    round: Round,
    peer: PeerId,
) -> Result<Bytes, CommsError> {
    let what = || format!("the delta of {} for {round}", peer.short());
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
