//! Deltas wherever they lie: in the run's bucket, or in those that peers bring.
//!
//! A peer's own bucket is a stranger's machine. Nothing that it does or does not do stops anybody's round: whoever closes
//! rounds visits it for a short time only, and takes nothing from it but the delta of that very peer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::error::CommsError;
use super::run::{CONCURRENCY, Run};
use super::verified_get::fetch;
use crate::bucket::{Bucket, BucketError, Listed};
use crate::membership::DeltaLocation;
use crate::objects::envelope::{Author, Envelope, Expectation, Kind};
use crate::objects::{Key, Lineage, Prefix};
use crate::primitives::{PeerId, Round, within};

/// How long a peer's own bucket may take to answer a validator.
const REACH: Duration = Duration::from_secs(10);

/// The slowest transfer from a peer's own bucket that a validator waits for, in bytes each second.
const SLOWEST: u64 = 1 << 18;

/// Own buckets that are visited at once: each is another store, and the dead ones should not hold up the others.
const VISITS: usize = 64;

impl Run {
    /// Where `peer` keeps its deltas; nothing unless there is a hello of this run that the peer itself wrote.
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
        let check =
            |object| Ok(DeltaLocation::parse(Envelope::open(&object, &expectation)?.payload()));
        match self.fetch(&Key::JoinRequest(peer), expectation.max_object(), check).await {
            Err(CommsError::Envelope(_) | CommsError::Bucket(BucketError::TooLarge { .. })) => {
                Ok(None)
            }
            Err(error) if error.is_absence() => Ok(None),
            outcome => outcome,
        }
    }

    /// The bucket that holds the deltas of `peer`.
    ///
    /// # Errors
    /// [`CommsError::CannotOpenBucket`] without an opener, [`CommsError::BucketUnreachable`] if that refuses, or what the run's bucket says.
    pub(crate) async fn bucket_of(&self, peer: PeerId) -> Result<Arc<dyn Bucket>, CommsError> {
        match self.delta_location(peer).await? {
            Some(DeltaLocation::Own(url)) => self.peer_buckets().open(peer, &url),
            Some(DeltaLocation::Shared) | None => Ok(self.bucket().clone()),
        }
    }

    async fn has_own_bucket(&self, peer: PeerId) -> Result<bool, CommsError> {
        Ok(matches!(self.delta_location(peer).await?, Some(DeltaLocation::Own(_))))
    }

    /// What `check` makes of a delta, wherever it lies.
    ///
    /// # Errors
    /// Those of [`bucket_of`](Self::bucket_of); [`CommsError::BucketUnreachable`] for what a peer's own bucket says, but that the delta
    /// is absent or too large; else what the run's bucket says, or the last refusal.
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

    /// The same for who cannot wait: a peer's own bucket has some time to answer, and some for `length` bytes.
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
        let limit = REACH + Duration::from_secs(length / SLOWEST);
        let timed_out =
            || BucketError::TimedOut { what: Key::Delta(round, peer).to_string(), limit };
        let away = || Err(CommsError::BucketUnreachable { peer, source: timed_out() });
        within(self.clock().as_ref(), limit, delta).await.unwrap_or_else(away)
    }

    /// What can be seen of the deltas of `wanted` in `round`, in the run's bucket or in those that they brought.
    ///
    /// # Errors
    /// What the run's bucket says; in a peer's own bucket that does not answer, nothing was delivered.
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
        let visits: Vec<_> = owners.into_iter().map(|peer| self.visit(round, peer)).collect();
        let found: Vec<_> = iter(visits).buffered(VISITS).collect().await;
        listing.extend(found.into_iter().flatten());
        Ok(listing)
    }

    /// Those of `peers` that brought a bucket of their own.
    async fn owners(&self, peers: &BTreeSet<PeerId>) -> Result<BTreeSet<PeerId>, CommsError> {
        let ask = |peer: PeerId| async move {
            Ok::<_, CommsError>((peer, self.has_own_bucket(peer).await?))
        };
        let questions: Vec<_> = peers.iter().copied().map(ask).collect();
        let answers: Vec<_> = iter(questions).buffered(CONCURRENCY).try_collect().await?;
        Ok(answers.into_iter().filter(|(_, is_owner)| *is_owner).map(|(peer, _)| peer).collect())
    }

    /// The delta of a peer as its own bucket lists it, if it does so in time.
    async fn visit(&self, round: Round, peer: PeerId) -> Option<Listed> {
        let bucket = self.bucket_of(peer).await.ok()?;
        let prefix = Prefix::Deltas(round);
        let listing =
            within(self.clock().as_ref(), REACH, bucket.list(&prefix, None)).await?.ok()?;
        listing.into_iter().find(|listed| listed.key == Key::Delta(round, peer))
    }
}
