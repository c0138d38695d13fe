//! Reading deltas from the run's bucket, or from the own buckets of peers.
//!
//! An own bucket is not trusted and must not stop a round: a validator waits for it only for
//! a bounded time, and reads nothing from it except the delta of its peer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::error::CommsError;
use super::fetched::Fetched;
use super::run::{CONCURRENCY, Run};
use super::verified_get::fetch;
use crate::bucket::{Bucket, BucketError, Listed};
use crate::membership::DeltaLocation;
use crate::objects::envelope::{Author, Envelope, Expectation, Kind};
use crate::objects::{Key, Lineage, Prefix};
use crate::primitives::{PeerId, Round, within};

/// Time limit for an answer of a peer's own bucket.
const OWN_BUCKET_TIMEOUT: Duration = Duration::from_secs(10);

/// The slowest transfer from an own bucket that a validator waits for, in bytes per second: 2
/// Mbit/s, the uplink of a slow home line.
const MIN_BYTES_PER_SECOND: u64 = 1 << 18;

/// Number of own buckets that are read at once. Each is a different store, so unreachable ones must
/// not delay the others.
const CONCURRENT_OWN_BUCKETS: usize = 64;

impl Run {
    /// Where `peer` keeps its deltas, or `None` without a valid join request of this run.
    pub(crate) async fn delta_location(
        &self,
        peer: PeerId,
    ) -> Result<Option<DeltaLocation>, CommsError> {
        if let Some(known) = self.peer_buckets().get(peer) {
            return Ok(Some(known));
        }
        let delta_location = self.read_join_request(peer).await?;
        delta_location
            .iter()
            .for_each(|delta_location| self.peer_buckets().note(peer, delta_location));
        Ok(delta_location)
    }

    async fn read_join_request(&self, peer: PeerId) -> Result<Option<DeltaLocation>, CommsError> {
        let expectation = Expectation {
            run: self.id(),
            kind: Kind::JoinRequest,
            round: Some(Round::FIRST),
            base: Some(Lineage::genesis(self.id())),
            author: Author::Is(peer),
            max_payload: DeltaLocation::MAX_URL as u64,
        };
        let fetched = self
            .fetch(&Key::JoinRequest(peer), expectation.max_object(), |object| {
                Ok(DeltaLocation::parse(Envelope::open(&object, &expectation)?.payload()))
            })
            .await;
        Ok(Fetched::from(fetched).into_option()?.flatten())
    }

    /// The bucket that holds the deltas of `peer`.
    ///
    /// # Errors
    /// [`CommsError::CannotOpenBucket`] without an opener, [`CommsError::BucketUnreachable`] if the
    /// opener fails, or errors of the run's bucket.
    pub(crate) async fn bucket_of(&self, peer: PeerId) -> Result<Arc<dyn Bucket>, CommsError> {
        match self.delta_location(peer).await? {
            Some(DeltaLocation::Own(url)) => self.peer_buckets().open(peer, &url),
            Some(DeltaLocation::Shared) | None => Ok(self.bucket().clone()),
        }
    }

    async fn has_own_bucket(&self, peer: PeerId) -> Result<bool, CommsError> {
        Ok(matches!(self.delta_location(peer).await?, Some(DeltaLocation::Own(_))))
    }

    /// Reads a delta from its bucket and returns the result of `check`.
    ///
    /// # Errors
    /// Errors of [`bucket_of`](Self::bucket_of); [`CommsError::BucketUnreachable`] if a peer's own
    /// bucket fails for another reason than an absent or too large delta; errors of the run's
    /// bucket or of `check`.
    pub(crate) async fn fetch_delta<T>(
        &self,
        round: Round,
        peer: PeerId,
        limit: u64,
        check: impl Fn(Bytes) -> Result<T, CommsError>,
    ) -> Result<T, CommsError> {
        let bucket = self.bucket_of(peer).await?;
        match fetch(bucket.as_ref(), self.clock().as_ref(), &Key::Delta(round, peer), limit, check)
            .await
        {
            Err(CommsError::Bucket(source)) if !Arc::ptr_eq(&bucket, self.bucket()) => {
                Err(match source {
                    BucketError::NotFound { .. } | BucketError::TooLarge { .. } => source.into(),
                    source => CommsError::BucketUnreachable { peer, source },
                })
            }
            outcome => outcome,
        }
    }

    /// The same with a time limit for a peer's own bucket, which grows with the `length` of the
    /// delta in bytes.
    pub(crate) async fn fetch_delta_soon<T>(
        &self,
        round: Round,
        peer: PeerId,
        length: u64,
        limit: u64,
        check: impl Fn(Bytes) -> Result<T, CommsError>,
    ) -> Result<T, CommsError> {
        let delta = self.fetch_delta(round, peer, limit, check);
        if !self.has_own_bucket(peer).await? {
            return delta.await;
        }
        let limit = OWN_BUCKET_TIMEOUT + Duration::from_secs(length / MIN_BYTES_PER_SECOND);
        let timed_out =
            || BucketError::TimedOut { what: Key::Delta(round, peer).to_string(), limit };
        within(self.clock().as_ref(), limit, delta)
            .await
            .unwrap_or_else(|| Err(CommsError::BucketUnreachable { peer, source: timed_out() }))
    }

    /// Lists the deltas of `wanted` in `round`, in the run's bucket and in own buckets.
    ///
    /// # Errors
    /// Errors of the run's bucket. An own bucket that does not answer has delivered nothing.
    pub(crate) async fn deliveries(
        &self,
        round: Round,
        wanted: &BTreeSet<PeerId>,
    ) -> Result<Vec<Listed>, CommsError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut listing = self.bucket().list(&Prefix::Deltas(round), None).await?;
        let owners = self.owners(wanted).await?;
        listing.retain(|listed| {
            listed.key.owner().is_some_and(|peer| wanted.contains(&peer) && !owners.contains(&peer))
        });
        let listings: Vec<_> =
            owners.into_iter().map(|peer| self.list_own_bucket(round, peer)).collect();
        let found: Vec<_> = iter(listings).buffered(CONCURRENT_OWN_BUCKETS).collect().await;
        listing.extend(found.into_iter().flatten());
        Ok(listing)
    }

    /// The peers among `peers` with an own bucket.
    async fn owners(&self, peers: &BTreeSet<PeerId>) -> Result<BTreeSet<PeerId>, CommsError> {
        let questions: Vec<_> = peers
            .iter()
            .copied()
            .map(|peer: PeerId| async move {
                Ok::<_, CommsError>((peer, self.has_own_bucket(peer).await?))
            })
            .collect();
        let answers: Vec<_> = iter(questions).buffered(CONCURRENCY).try_collect().await?;
        Ok(answers.into_iter().filter(|(_, is_owner)| *is_owner).map(|(peer, _)| peer).collect())
    }

    /// The delta of a peer as listed by its own bucket, or `None` if that does not answer in time.
    async fn list_own_bucket(&self, round: Round, peer: PeerId) -> Option<Listed> {
        let bucket = self.bucket_of(peer).await.ok()?;
        let prefix = Prefix::Deltas(round);
        let listing = within(self.clock().as_ref(), OWN_BUCKET_TIMEOUT, bucket.list(&prefix, None))
            .await?
            .ok()?;
        listing.into_iter().find(|listed| listed.key == Key::Delta(round, peer))
    }
}
