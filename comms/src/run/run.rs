//! An open run: its description, its bucket and its clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::description::Description;
use super::error::CommsError;
use super::peer_buckets::{Opener, PeerBuckets};
use super::verified_get::fetch;
use crate::agreement::Certificate;
use crate::bucket::Bucket;
use crate::objects::{Key, Lineage, Manifest, ManifestError};
use crate::primitives::{Clock, Digest, Keypair, Round, RunId};

/// The number of concurrent requests. Enough to hide the latency of a store; S3 throttles far above
/// it.
pub(crate) const CONCURRENCY: usize = 16;

/// A run in a bucket. Clones share everything.
#[derive(Clone, Debug)]
pub struct Run {
    shared: Arc<Shared>,
    peer_buckets: Arc<PeerBuckets>,
}

#[derive(Debug)]
struct Shared {
    bucket: Arc<dyn Bucket>,
    clock: Arc<dyn Clock>,
    id: RunId,
    description: Description,
}

impl Run {
    /// The longest part of a description: 16 GiB.
    pub const MAX_PART: u64 = 1 << 34;

    /// Creates a run in a bucket. The parts are written first and the description last, so a run
    /// that can be opened is complete.
    ///
    /// Creating a run that already exists with the same description succeeds.
    ///
    /// # Errors
    /// [`CommsError::OtherRun`] if the bucket holds another run; [`CommsError::PartNotGiven`],
    /// [`CommsError::UnknownPart`] or [`CommsError::WrongContent`] if the parts do not match the
    /// description; errors of the bucket.
    pub async fn create(
        bucket: Arc<dyn Bucket>,
        clock: Arc<dyn Clock>,
        description: &Description,
        parts: &BTreeMap<String, Bytes>,
    ) -> Result<Self, CommsError> {
        description.check()?;
        check_parts(description, parts)?;
        let id = description.run_id();
        match Self::open(bucket.clone(), clock.clone(), Some(id)).await {
            Err(CommsError::NoRun) => {}
            outcome => return outcome,
        }
        // The description last: it makes the run visible, and names the parts by digest.
        put_parts(bucket.as_ref(), parts.values(), Key::RunPart).await?;
        let put = bucket.put_new(&Key::RunDescription, description.to_bytes().into()).await?;
        match put.is_stored() {
            true => Ok(Self::new(bucket, clock, id, description.clone())),
            // Another process created a run first; opening it shows which.
            false => Self::open(bucket, clock, Some(id)).await,
        }
    }

    /// Opens the run in a bucket; it must be `expected` if that is given.
    ///
    /// # Errors
    /// [`CommsError::NoRun`], [`CommsError::OtherRun`], [`CommsError::Description`], or errors of
    /// the bucket.
    pub async fn open(
        bucket: Arc<dyn Bucket>,
        clock: Arc<dyn Clock>,
        expected: Option<RunId>,
    ) -> Result<Self, CommsError> {
        let limit = Description::MAX_LENGTH as u64;
        let (id, description) = match fetch(
            bucket.as_ref(),
            clock.as_ref(),
            &Key::RunDescription,
            limit,
            |bytes: Bytes| Ok((RunId::of(&bytes), Description::parse(&bytes)?)),
        )
        .await
        {
            Err(error) if error.is_absence() => return Err(CommsError::NoRun),
            outcome => outcome?,
        };
        match expected {
            Some(expected) if expected != id => Err(CommsError::OtherRun { expected, got: id }),
            _ => Ok(Self::new(bucket, clock, id, description)),
        }
    }

    fn new(
        bucket: Arc<dyn Bucket>,
        clock: Arc<dyn Clock>,
        id: RunId,
        description: Description,
    ) -> Self {
        Self {
            shared: Arc::new(Shared { bucket, clock, id, description }),
            peer_buckets: Arc::default(),
        }
    }

    /// Adds an opener for the own buckets of peers; see [`Opener`] for what it must reject.
    ///
    /// Without an opener, the deltas in own buckets cannot be read.
    #[must_use]
    pub fn with_opener(self, opener: Arc<Opener>) -> Self {
        Self { peer_buckets: Arc::new(PeerBuckets::with_opener(opener)), ..self }
    }

    /// The id of the run.
    pub fn id(&self) -> RunId {
        self.shared.id
    }

    /// The description of the run.
    pub fn description(&self) -> &Description {
        &self.shared.description
    }

    /// The bucket of the run.
    pub fn bucket(&self) -> &Arc<dyn Bucket> {
        &self.shared.bucket
    }

    /// The clock for all deadlines and pauses.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The own buckets of peers.
    pub(crate) fn peer_buckets(&self) -> &PeerBuckets {
        &self.peer_buckets
    }

    /// Reads a part of the description and checks its digest.
    ///
    /// # Errors
    /// [`CommsError::UnknownPart`], [`CommsError::WrongContent`], or errors of the bucket.
    pub async fn part(&self, name: &str) -> Result<Bytes, CommsError> {
        let digest = *self
            .description()
            .parts
            .get(name)
            .ok_or_else(|| CommsError::UnknownPart { name: name.into() })?;
        self.fetch(&Key::RunPart(digest), Self::MAX_PART, |bytes| {
            check_content(bytes, digest, || format!("part `{name}`"))
        })
        .await
    }

    /// The manifest of `round`, if it leads to weights of lineage `after`.
    pub(crate) async fn manifest_leading_to(
        &self,
        round: Round,
        after: Lineage,
    ) -> Result<Manifest, CommsError> {
        let validator_set = &self.description().validator_set;
        self.fetch(&Key::Manifest(round), Certificate::max_length(), |object: Bytes| {
            let certificate = Certificate::open(&object, self.id(), validator_set, round, None)?;
            match certificate.manifest().lineage() {
                got if got == after => Ok(certificate.manifest().clone()),
                got => Err(ManifestError::WrongLineage { round, expected: after, got }.into()),
            }
        })
        .await
    }

    /// The certified manifest of `round`. It must start from `previous`, if that is given.
    ///
    /// # Errors
    /// Errors of the certificate, or of the bucket.
    pub async fn certificate(
        &self,
        round: Round,
        previous: Option<Lineage>,
    ) -> Result<Certificate, CommsError> {
        let validator_set = &self.description().validator_set;
        self.fetch(&Key::Manifest(round), Certificate::max_length(), |object: Bytes| {
            Ok(Certificate::open(&object, self.id(), validator_set, round, previous)?)
        })
        .await
    }

    /// Rejects an identity that is not in the validator set: readers ignore its manifests and
    /// checkpoints.
    pub(crate) fn check_validator(&self, identity: &Keypair) -> Result<(), CommsError> {
        match identity.peer() {
            got if self.description().validator_set.contains(got) => Ok(()),
            got => Err(CommsError::NotValidator { got }),
        }
    }

    /// Reads an object and returns the result of `check`; reads again if the object may have been
    /// damaged in transit.
    pub(crate) async fn fetch<T>(
        &self,
        key: &Key,
        limit: u64,
        check: impl Fn(Bytes) -> Result<T, CommsError>,
    ) -> Result<T, CommsError> {
        fetch(self.bucket().as_ref(), self.clock().as_ref(), key, limit, check).await
    }
}

/// Returns `bytes` if `expected` is their digest.
pub(crate) fn check_content(
    bytes: Bytes,
    expected: Digest,
    what: impl Fn() -> String,
) -> Result<Bytes, CommsError> {
    match Digest::of(&bytes) {
        got if got == expected => Ok(bytes),
        got => Err(CommsError::WrongContent { what: what(), expected, got }),
    }
}

/// Writes content-addressed objects: the key of each contains its digest.
pub(crate) async fn put_parts(
    bucket: &dyn Bucket,
    parts: impl Iterator<Item = &Bytes>,
    key: impl Fn(Digest) -> Key,
) -> Result<(), CommsError> {
    let puts: Vec<_> = parts
        .map(|part| {
            let key = key(Digest::of(part));
            async move {
                match bucket.put_new(&key, part.clone()).await?.is_stored() {
                    true => Ok(()),
                    false => Err(CommsError::Taken { what: key.to_string() }),
                }
            }
        })
        .collect();
    iter(puts).buffer_unordered(CONCURRENCY).try_collect().await
}

fn check_parts(
    description: &Description,
    parts: &BTreeMap<String, Bytes>,
) -> Result<(), CommsError> {
    if let Some(name) = parts.keys().find(|name| !description.parts.contains_key(*name)) {
        return Err(CommsError::UnknownPart { name: name.clone() });
    }
    for (name, digest) in &description.parts {
        let bytes =
            parts.get(name).ok_or_else(|| CommsError::PartNotGiven { name: name.clone() })?;
        check_content(bytes.clone(), *digest, || format!("part `{name}`"))?;
    }
    Ok(())
}
