//! The objects that a peer publishes in a run.

use std::sync::Arc;

use bytes::Bytes;

use crate::agreement::commitments::CommitmentLists;
use crate::bucket::Bucket;
use crate::membership::DeltaLocation;
use crate::objects::envelope::{Author, Envelope, Expectation, Kind, Subject};
use crate::objects::{DeltaRef, Key, Lineage};
use crate::primitives::{Keypair, PeerId, Round};
use crate::run::{CommsError, Run, fetch};

/// Publishes the objects of one peer, each once.
#[derive(Clone, Debug)]
pub struct PeerClient {
    run: Run,
    identity: Keypair,
    /// The bucket for deltas, if it is not the run's.
    own: Option<Arc<dyn Bucket>>,
}

/// The outcome of publishing a delta.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an earlier delta may be the one that counts"]
pub enum Published {
    /// The delta is in the bucket.
    Stored,
    /// An earlier delta of this peer for the round is in the bucket and remains; its verified
    /// payload.
    Occupied(Bytes),
}

impl PeerClient {
    /// Signs with `identity`.
    pub fn new(run: Run, identity: Keypair) -> Self {
        Self { run, identity, own: None }
    }

    /// Publishes deltas in the peer's own bucket, under the same keys; all other objects go into
    /// the run's bucket.
    ///
    /// Readers use the own bucket only if the peer announced it with
    /// [`join_request_from`](Self::join_request_from). Only the peer removes its deltas there, once
    /// the run has newer checkpoints.
    #[must_use]
    pub fn with_bucket(self, own: Arc<dyn Bucket>) -> Self {
        Self { own: Some(own), ..self }
    }

    /// The id of the peer.
    pub fn peer(&self) -> PeerId {
        self.identity.peer()
    }

    /// Publishes the join request of this peer, once per run; repeating the call has no effect.
    ///
    /// This suffices for round 0. A peer that joins later, or lost its slot, also publishes a
    /// [`heartbeat`](Self::heartbeat) of the open round and gets a slot by the manifest of that
    /// round.
    ///
    /// # Errors
    /// [`CommsError::Taken`] if the key holds another object; errors of the bucket.
    pub async fn join_request(&self) -> Result<(), CommsError> {
        self.publish_join_request(Bytes::new()).await
    }

    /// Publishes a join request that announces, for the whole run, the peer's own bucket at `url`.
    ///
    /// The URL is public and contains no keys, so the bucket must allow anonymous reads and
    /// listings. A peer with an unreadable bucket counts as absent.
    ///
    /// # Errors
    /// [`BucketError::InvalidUrl`](crate::bucket::BucketError::InvalidUrl) for a URL that other
    /// peers cannot reach, that has more than 512 bytes, or that contains keys; errors of
    /// [`join_request`](Self::join_request).
    pub async fn join_request_from(&self, url: &str) -> Result<(), CommsError> {
        DeltaLocation::check_url(url)?;
        self.publish_join_request(Bytes::copy_from_slice(url.as_bytes())).await
    }

    async fn publish_join_request(&self, delta_location: Bytes) -> Result<(), CommsError> {
        let key = Key::JoinRequest(self.peer());
        let base = Lineage::genesis(self.run.id());
        match self.put(&key, Kind::JoinRequest, Round::FIRST, base, delta_location).await? {
            true => Ok(()),
            false => Err(CommsError::Taken { what: key.to_string() }),
        }
    }

    /// Publishes a heartbeat for `round`: the peer starts to train, or waits for a slot.
    ///
    /// # Errors
    /// Errors of the bucket.
    pub async fn heartbeat(&self, round: Round, base: Lineage) -> Result<(), CommsError> {
        // Any object under this key is a heartbeat of the round: readers check only that the key
        // exists.
        self.put(&Key::Heartbeat(self.peer(), round), Kind::Heartbeat, round, base, Bytes::new())
            .await
            .map(drop)
    }

    /// Publishes a leave notice: validators stop to expect this peer after `round`.
    ///
    /// # Errors
    /// Errors of the bucket.
    pub async fn leave_notice(&self, round: Round, base: Lineage) -> Result<(), CommsError> {
        self.put(
            &Key::LeaveNotice(self.peer(), round),
            Kind::LeaveNotice,
            round,
            base,
            Bytes::new(),
        )
        .await
        .map(drop)
    }

    /// Publishes the commitment to the delta of `round`, trained from weights of lineage `base`.
    /// The delta stays secret until [`may_reveal`](Self::may_reveal) returns true.
    ///
    /// Returns the commitment that counts: if this peer committed before a restart, the first
    /// commitment is binding.
    ///
    /// # Errors
    /// Errors of an object that is already under the key; errors of the bucket.
    pub async fn commit(
        &self,
        round: Round,
        base: Lineage,
        payload: &[u8],
    ) -> Result<DeltaRef, CommsError> {
        let commitment = DeltaRef::of(payload);
        let key = Key::Commitment(round, self.peer());
        match self.put(&key, Kind::Commitment, round, base, commitment.to_bytes()).await? {
            true => Ok(commitment),
            false => self.run.commitment(round, base, self.peer()).await,
        }
    }

    /// Returns true once enough validators have published their commitment list of `round`: later
    /// commitments are not accepted, so no peer can commit to a copy of a revealed delta.
    ///
    /// # Errors
    /// Errors of the bucket.
    pub async fn may_reveal(&self, round: Round, base: Lineage) -> Result<bool, CommsError> {
        let mut commitment_lists = CommitmentLists::default();
        self.run.poll_commitment_lists(round, base, &mut commitment_lists).await?;
        Ok(commitment_lists.are_enough(&self.run.description().validator_set))
    }

    /// Publishes the delta of `round`, trained from weights of lineage `base`.
    ///
    /// A peer that published before a restart, and trained again, gets the first delta back.
    ///
    /// # Errors
    /// [`CommsError::DeltaGone`] if an earlier delta was removed since; errors of an object that is
    /// already under the key; errors of the bucket.
    pub async fn publish(
        &self,
        round: Round,
        base: Lineage,
        payload: Bytes,
    ) -> Result<Published, CommsError> {
        let key = Key::Delta(round, self.peer());
        if self.put(&key, Kind::Delta, round, base, payload).await? {
            return Ok(Published::Stored);
        }
        let expectation = Expectation {
            run: self.run.id(),
            kind: Kind::Delta,
            round: Some(round),
            base: Some(base),
            author: Author::Is(self.peer()),
            max_payload: self.run.description().rules.max_delta,
        };
        let (bucket, clock) = (self.bucket_for(&key), self.run.clock());
        match fetch(bucket.as_ref(), clock.as_ref(), &key, expectation.max_object(), |object| {
            Ok(Envelope::open(&object, &expectation)?.payload().clone())
        })
        .await
        {
            // The round was decided so long ago that its deltas are being removed.
            Err(error) if error.is_absence() => {
                Err(CommsError::DeltaGone { round, peer: self.peer() })
            }
            outcome => outcome.map(Published::Occupied),
        }
    }

    /// Signs and writes an object. Returns true if the key now holds it.
    async fn put(
        &self,
        key: &Key,
        kind: Kind,
        round: Round,
        base: Lineage,
        payload: Bytes,
    ) -> Result<bool, CommsError> {
        let subject = Subject { run: self.run.id(), round, kind, base };
        let object = Envelope::seal(&self.identity, subject, payload).to_bytes();
        let bytes = object.len();
        let is_stored = self.bucket_for(key).put_new(key, object).await?.is_stored();
        tracing::info!(round = round.0, %key, bytes, is_stored, "published");
        Ok(is_stored)
    }

    fn bucket_for(&self, key: &Key) -> &Arc<dyn Bucket> {
        match key {
            // Only deltas are large; validators list all other objects in the run's bucket.
            Key::Delta(..) => self.own.as_ref().unwrap_or(self.run.bucket()),
            _ => self.run.bucket(),
        }
    }
}
