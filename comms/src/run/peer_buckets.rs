//! The own buckets of peers, as one reader has opened them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::CommsError;
use crate::bucket::{Bucket, BucketError};
use crate::membership::DeltaLocation;
use crate::primitives::PeerId;

/// Opens the bucket of a peer by its URL.
///
/// The URL is untrusted. It parses as a [`Location`](crate::bucket::location::Location) other than
/// memory. This is the only check before the call. An opener must reject URLs that the reader must
/// not connect to, such as folders and addresses of private networks, and must not use the reader's
/// keys. It chooses retries and limits of the bucket, and must not block.
pub type Opener = dyn Fn(&str) -> Result<Arc<dyn Bucket>, BucketError> + Send + Sync;

/// The locations of deltas and the open buckets, by peer. Each join request is read once, each
/// bucket opened once.
#[derive(Default)]
pub(crate) struct PeerBuckets {
    opener: Option<Arc<Opener>>,
    known: Mutex<BTreeMap<PeerId, DeltaLocation>>,
    open: Mutex<BTreeMap<PeerId, Arc<dyn Bucket>>>,
}

impl PeerBuckets {
    /// No known locations, and an opener.
    pub(crate) fn with_opener(opener: Arc<Opener>) -> Self {
        Self { opener: Some(opener), ..Self::default() }
    }

    pub(crate) fn get(&self, peer: PeerId) -> Option<DeltaLocation> {
        lock(&self.known).get(&peer).cloned()
    }

    /// Remembers the location in a join request. A join request never changes.
    pub(crate) fn note(&self, peer: PeerId, delta_location: &DeltaLocation) {
        lock(&self.known).insert(peer, delta_location.clone());
    }

    /// The bucket of a peer at `url`. A bucket that cannot be opened is tried again on the next
    /// call.
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
