//! Where a peer keeps its deltas: in the run's bucket, or in one of its own, as its hello says.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::CommsError;
use crate::bucket::{Bucket, BucketError};
use crate::membership::DeltaLocation;
use crate::primitives::PeerId;

/// How a reader gets the bucket of a peer by its URL.
///
/// The URL comes from a stranger. It parses as a [`Location`](crate::bucket::location::Location) that is not memory, and no more is known of it: whoever writes
/// an opener must refuse what the reader does not want to be sent to, such as folders and addresses of private networks,
/// and must use no keys of the reader's. Retries and limits of the bucket are the opener's choice; it must not block.
pub type Opener = dyn Fn(&str) -> Result<Arc<dyn Bucket>, BucketError> + Send + Sync;

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
