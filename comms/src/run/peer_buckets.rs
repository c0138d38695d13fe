//! Where a peer keeps its deltas: in the run's bucket, or in one of its own, as its hello says.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::CommsError;
use crate::bucket::location::Location;
use crate::bucket::{Bucket, BucketError};
use crate::primitives::PeerId;

/// How a reader gets the bucket of a peer by its URL.
///
/// The URL comes from a stranger. It parses as a [`Location`] that is not memory, and no more is known of it: whoever writes
/// an opener must refuse what the reader does not want to be sent to, such as folders and addresses of private networks,
/// and must use no keys of the reader's. Retries and limits of the bucket are the opener's choice; it must not block.
pub type Opener = dyn Fn(&str) -> Result<Arc<dyn Bucket>, BucketError> + Send + Sync;

/// What a hello says of where its peer keeps its deltas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeltaLocation {
    /// In the run's bucket: the payload is empty.
    Shared,
    /// In its own: the payload is the bucket's URL.
    Own(Arc<str>),
}

impl DeltaLocation {
    /// The longest URL in bytes.
    pub(crate) const MAX_URL: usize = 512;

    /// Reads the payload of a hello; nothing if it is neither empty nor a URL that peers may announce.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        if payload.is_empty() {
            return Some(Self::Shared);
        }
        let url = str::from_utf8(payload).ok()?;
        Self::check_url(url).ok()?;
        Some(Self::Own(url.into()))
    }

    /// Refuses what is no bucket, what holds keys, and what others cannot reach.
    pub(crate) fn check_url(url: &str) -> Result<(), BucketError> {
        let reason = match url.parse()? {
            Location::Memory => "no other process reaches it",
            _ if url.len() > Self::MAX_URL => "it has more than 512 bytes",
            _ => return Ok(()),
        };
        Err(BucketError::InvalidUrl { url: url.into(), reason: reason.into() })
    }
}

/// What one reader knows of where peers keep their deltas, each hello read and each bucket opened once.
#[derive(Default)]
pub(crate) struct PeerBuckets {
    opener: Option<Arc<Opener>>,
    known: Mutex<BTreeMap<PeerId, DeltaLocation>>,
    open: Mutex<BTreeMap<PeerId, Arc<dyn Bucket>>>,
}

impl PeerBuckets {
    /// Nothing known yet, and a way to buckets of peers.
    pub(crate) fn with_opener(opener: Arc<Opener>) -> Self {
        Self { opener: Some(opener), ..Self::default() }
    }

    pub(crate) fn get(&self, peer: PeerId) -> Option<DeltaLocation> {
        lock(&self.known).get(&peer).cloned()
    }

    /// Remembers what a hello says, which never changes.
    pub(crate) fn note(&self, peer: PeerId, delta_location: &DeltaLocation) {
        lock(&self.known).insert(peer, delta_location.clone());
    }

    /// The bucket of a peer at `url`; what cannot be opened is tried again the next time.
    pub(crate) fn open(&self, peer: PeerId, url: &str) -> Result<Arc<dyn Bucket>, CommsError> {
        if let Some(bucket) = lock(&self.open).get(&peer) {
            return Ok(bucket.clone());
        }
        let opener = self
            .opener
            .as_ref()
            .ok_or_else(|| CommsError::CannotOpenBucket { peer, url: url.into() })?;
        let bucket =
            opener(url).map_err(|source| CommsError::BucketUnreachable { peer, source })?;
        lock(&self.open).insert(peer, bucket.clone());
        Ok(bucket)
    }
}

impl fmt::Debug for PeerBuckets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (has_opener, known) = (self.opener.is_some(), lock(&self.known).len());
        formatter
            .debug_struct("Residences")
            .field("has_opener", &has_opener)
            .field("known", &known)
            .finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_empty_or_names_a_bucket_that_others_may_reach() {
        assert_eq!(DeltaLocation::parse(b""), Some(DeltaLocation::Shared));
        let longest = format!("s3://{}", "a".repeat(DeltaLocation::MAX_URL - 5));
        for url in ["s3://bkt/mine?endpoint=https://host&region=eu", &longest] {
            assert_eq!(DeltaLocation::parse(url.as_bytes()), Some(DeltaLocation::Own(url.into())));
        }
        let too_long = format!("{longest}a");
        let refused: [&[u8]; 5] =
            [b"s3://bkt/\xff", too_long.as_bytes(), b"memory://", b"http://h", b"s3://me:key@bkt"];
        for payload in refused {
            assert_eq!(DeltaLocation::parse(payload), None, "{}", String::from_utf8_lossy(payload));
        }
    }
}
