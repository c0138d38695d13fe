//! A bucket in memory, on any clock, for tests and simulations.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::bucket::bucket::{Bucket, Listed, Put};
use crate::bucket::error::BucketError;
use crate::objects::{Key, Prefix};
use crate::primitives::{Clock, Timestamp};

/// Objects in a map. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBucket {
    clock: Arc<dyn Clock>,
    objects: Arc<Mutex<BTreeMap<Key, StoredObject>>>,
}

#[derive(Debug)]
struct StoredObject {
    body: Bytes,
    modified: Timestamp,
}

impl MemoryBucket {
    /// Creates an empty bucket that dates its objects by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, objects: Arc::default() }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<Key, StoredObject>> {
        // The map is consistent between any two statements, so a panic under the lock breaks
        // nothing.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Bucket for MemoryBucket {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        match self.objects().get(key).map(|object| object.body.clone()) {
            None => Err(BucketError::NotFound { what: key.to_string() }),
            Some(body) if body.len() as u64 > limit => Err(BucketError::TooLarge {
                what: key.to_string(),
                announced: body.len() as u64,
                limit,
            }),
            Some(body) => Ok(body),
        }
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        // Before the lock: a clock is foreign code.
        let modified = self.clock.now();
        match self.objects().entry(*key) {
            Entry::Occupied(entry) if entry.get().body == body => Ok(Put::Unchanged),
            Entry::Occupied(_) => Ok(Put::Occupied),
            Entry::Vacant(place) => {
                place.insert(StoredObject { body, modified });
                Ok(Put::Created)
            }
        }
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        let first = prefix.first_key();
        let start = match after {
            Some(after) if *after >= first => Bound::Excluded(*after),
            _ => Bound::Included(first),
        };
        // Keys sort as their texts do, so the keys of a prefix are adjacent.
        let objects = self.objects();
        let listing = objects
            .range((start, Bound::Unbounded))
            .take_while(|(key, _)| prefix.contains(key))
            .map(|(key, object)| Listed {
                key: *key,
                length: object.body.len() as u64,
                modified: object.modified,
            });
        Ok(listing.collect())
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.objects().remove(key);
        Ok(())
    }
}
