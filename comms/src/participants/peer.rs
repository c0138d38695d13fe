//! One peer's own voice in a run.

use std::sync::Arc;

use bytes::Bytes;

use crate::agreement::commitments::CommitmentLists;
use crate::bucket::Bucket;
use crate::membership::DeltaLocation;
use crate::objects::envelope::{Author, Envelope, Expectation, Kind, Subject};
use crate::objects::{DeltaRef, Key, Lineage};
use crate::primitives::{Keypair, PeerId, Round};
use crate::run::{CommsError, Run, fetch};

/// Writes what one peer has to say, each thing once.
#[derive(Clone, Debug)]
pub struct PeerClient {
    run: Run,
    identity: Keypair,
    /// Where deltas go, if not into the run's bucket.
    own: Option<Arc<dyn Bucket>>,
}

/// What became of a delta that was to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an earlier delta may be the one that counts"]
pub enum Published {
    /// It is in the bucket.
    Stored,
    /// Another delta of ours for the round was there first and stays: its payload, verified.
    Occupied(Bytes),
}

impl PeerClient {
    /// Speaks in the name of `identity`.
    pub fn new(run: Run, identity: Keypair) -> Self {
        Self { run, identity, own: None }
    }

    /// Delivers into a bucket of the peer's own, under the same keys; all else goes into the run's.
    ///
    /// Others look there only if the peer said [`join_request_from`](Self::join_request_from) there. Nobody but the peer removes what it
    /// delivered; it may do so once the run's checkpoints are newer.
    #[must_use]
    pub fn with_bucket(self, own: Arc<dyn Bucket>) -> Self {
        Self { own: Some(own), ..self }
    }

    /// The peer's name.
    pub fn peer(&self) -> PeerId {
        self.identity.peer()
    }

    /// Asks to take part, once per run; saying it again is harmless.
    ///
    /// Enough for round 0. Who has no seat later, or lost it, asks with a [`heartbeat`](Self::heartbeat) of the round
    /// that is being played, and is named by its manifest.
    ///
    /// # Errors
    /// [`CommsError::Taken`] if something else lies there, or what the bucket says.
    pub async fn join_request(&self) -> Result<(), CommsError> {
        self.publish_join_request(Bytes::new()).await
    }

    /// Asks to take part and announces, for the whole run, that the peer's deltas lie in its own bucket at `url`.
    ///
    /// The URL is public and holds no keys, so the bucket must let everybody read and list. A peer that others cannot
    /// reach there is silent to them.
    ///
    /// # Errors
    /// [`BucketError::InvalidUrl`](crate::bucket::BucketError::InvalidUrl) for no bucket that others could reach, one of more than
    /// 512 bytes, or one with keys in it; else those of [`join_request`](Self::join_request).
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

    /// Says that the peer is there in `round`: it begins to train, or waits for a seat.
    ///
    /// # Errors
    /// What the bucket says.
    pub async fn heartbeat(&self, round: Round, base: Lineage) -> Result<(), CommsError> {
        // Whatever lies there, it is a sign of life of that round.
        self.put(&Key::Heartbeat(self.peer(), round), Kind::Heartbeat, round, base, Bytes::new())
            .await
            .map(drop)
    }

    /// Says that nobody should wait for the peer after `round`.
    ///
    /// # Errors
    /// What the bucket says.
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

    /// Binds the peer to what it learned in `round` from weights of lineage `base`; the delta itself stays secret until it
    /// [`may_reveal`](Self::may_reveal) it.
    ///
    /// Gives what counts: a peer that had committed in a life that it has forgotten is held to that.
    ///
    /// # Errors
    /// What is wrong with an object that lies there already, or what the bucket says.
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

    /// Whether so many validators have called the roll of `round` that nobody can commit any more to what he sees now.
    ///
    /// # Errors
    /// What the bucket says.
    pub async fn may_reveal(&self, round: Round, base: Lineage) -> Result<bool, CommsError> {
        let mut commitment_lists = CommitmentLists::default();
        self.run.poll_commitment_lists(round, base, &mut commitment_lists).await?;
        Ok(commitment_lists.are_enough(&self.run.description().validator_set))
    }

    /// Delivers what was learned in `round` from weights of lineage `base`, for all to see.
    ///
    /// A peer that was killed after it had delivered, and trained again, is told what counts.
    ///
    /// # Errors
    /// [`CommsError::DeltaGone`] if an earlier one was removed since, what is wrong with an object that lies there already,
    /// or what the bucket says.
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
        let check = |object| Ok(Envelope::open(&object, &expectation)?.payload().clone());
        let (bucket, clock) = (self.bucket_for(&key), self.run.clock());
        match fetch(bucket.as_ref(), clock.as_ref(), &key, expectation.max_object(), check).await {
            // The round was over for so long that its deltas are being removed.
            Err(error) if error.is_absence() => {
                Err(CommsError::DeltaGone { round, peer: self.peer() })
            }
            outcome => outcome.map(Published::Occupied),
        }
    }

    /// Signs and writes; whether the key holds it now.
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
        Ok(self.bucket_for(key).put_new(key, object).await?.is_stored())
    }

    fn bucket_for(&self, key: &Key) -> &Arc<dyn Bucket> {
        match key {
            Key::Delta(..) => self.own.as_ref().unwrap_or(self.run.bucket()),
            _ => self.run.bucket(),
        }
    }
}
