//! An open run: its description, and the bucket and clock that everybody in this process shares.

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

/// Requests that are under way at once.
pub(crate) const CONCURRENCY: usize = 16;

/// One run as it lies in a bucket; clones share everything.
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
    /// The longest part of a description in bytes.
    pub const MAX_PART: u64 = 1 << 34;

    /// Writes a new run into a bucket: first its parts, last its description, so that a run that can be opened is whole.
    ///
    /// Founding the very run that is there already succeeds.
    ///
    /// # Errors
    /// [`CommsError::OtherRun`] if the bucket holds another; [`CommsError::PartNotGiven`], [`CommsError::UnknownPart`] or
    /// [`CommsError::WrongContent`] if description and parts do not fit; else what the bucket says.
    pub async fn found(
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
        put_parts(bucket.as_ref(), parts.values(), Key::RunPart).await?;
        let put = bucket.put_new(&Key::RunDescription, description.to_bytes().into()).await?;
        match put.is_stored() {
            true => Ok(Self::new(bucket, clock, id, description.clone())),
            // Somebody was faster; opening says who.
            false => Self::open(bucket, clock, Some(id)).await,
        }
    }

    /// Opens the run that lies in a bucket, which must be `expected` if that is given.
    ///
    /// # Errors
    /// [`CommsError::NoRun`], [`CommsError::OtherRun`], [`CommsError::Description`], or what the bucket says.
    pub async fn open(
        bucket: Arc<dyn Bucket>,
        clock: Arc<dyn Clock>,
        expected: Option<RunId>,
    ) -> Result<Self, CommsError> {
        let limit = Description::MAX_LENGTH as u64;
        let check = |bytes: Bytes| Ok((RunId::of(&bytes), Description::parse(&bytes)?));
        let (id, description) = match fetch(
            bucket.as_ref(),
            clock.as_ref(),
            &Key::RunDescription,
            limit,
            check,
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

    /// The same run for a reader that also opens buckets which peers bring; see [`Opener`] for what it must refuse.
    ///
    /// Without one, the deltas of such peers are missing for a coordinator, and nobody can gather them.
    #[must_use]
    pub fn with_opener(self, opener: Arc<Opener>) -> Self {
        Self { peer_buckets: Arc::new(PeerBuckets::with_opener(opener)), ..self }
    }

    /// The run's name.
    pub fn id(&self) -> RunId {
        self.shared.id
    }

    /// What all peers agreed on.
    pub fn description(&self) -> &Description {
        &self.shared.description
    }

    /// Where the run lies.
    pub fn bucket(&self) -> &Arc<dyn Bucket> {
        &self.shared.bucket
    }

    /// The time that everything which waits goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// What is known of where peers keep their deltas.
    pub(crate) fn peer_buckets(&self) -> &PeerBuckets {
        &self.peer_buckets
    }

    /// A part of the description, held to its digest.
    ///
    /// # Errors
    /// [`CommsError::UnknownPart`], [`CommsError::WrongContent`], or what the bucket says.
    pub async fn part(&self, name: &str) -> Result<Bytes, CommsError> {
        let unknown = || CommsError::UnknownPart { name: name.into() };
        let digest = *self.description().parts.get(name).ok_or_else(unknown)?;
        let check = |bytes| check_content(bytes, digest, || format!("part `{name}`"));
        self.fetch(&Key::RunPart(digest), Self::MAX_PART, check).await
    }

    /// The manifest of `round`, if it leads to weights of lineage `after`.
    pub(crate) async fn manifest_leading_to(
        &self,
        round: Round,
        after: Lineage,
    ) -> Result<Manifest, CommsError> {
        let validator_set = &self.description().validator_set;
        let check = |object: Bytes| {
            let certificate = Certificate::open(&object, self.id(), validator_set, round, None)?;
            match certificate.manifest().lineage() {
                got if got == after => Ok(certificate.manifest().clone()),
                got => Err(ManifestError::WrongLineage { round, expected: after, got }.into()),
            }
        };
        self.fetch(&Key::Manifest(round), Certificate::max_length(), check).await
    }

    /// The decision on `round` with the signatures that make it count; it must start from `previous`, if that is given.
    ///
    /// # Errors
    /// What is wrong with it, or what the bucket says.
    pub async fn certificate(
        &self,
        round: Round,
        previous: Option<Lineage>,
    ) -> Result<Certificate, CommsError> {
        let validator_set = &self.description().validator_set;
        let check = |object: Bytes| {
            Ok(Certificate::open(&object, self.id(), validator_set, round, previous)?)
        };
        self.fetch(&Key::Manifest(round), Certificate::max_length(), check).await
    }

    /// Refuses an identity whose manifests and checkpoints nobody would believe.
    pub(crate) fn check_validator(&self, identity: &Keypair) -> Result<(), CommsError> {
        match identity.peer() {
            got if self.description().validator_set.contains(got) => Ok(()),
            got => Err(CommsError::NotValidator { got }),
        }
    }

    /// What `check` makes of an object, fetched again while the way may have damaged it.
    pub(crate) async fn fetch<T>(
        &self,
        key: &Key,
        limit: u64,
        check: impl Fn(Bytes) -> Result<T, CommsError>,
    ) -> Result<T, CommsError> {
        fetch(self.bucket().as_ref(), self.clock().as_ref(), key, limit, check).await
    }
}

/// `bytes`, if `expected` is their digest.
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

/// Writes objects that are named by their digests.
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
