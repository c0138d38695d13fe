//! A bucket in memory: for tests and simulations, on whatever clock they run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::bucket::contract::{Bucket, Listed, Put};
use crate::bucket::error::BucketError;
use crate::clock::{Clock, Timestamp};
use crate::layout::{Key, Prefix};

/// Objects in a map; clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBucket {
    clock: Arc<dyn Clock>,
    objects: Arc<Mutex<BTreeMap<String, Object>>>,
}

#[derive(Debug)]
struct Object {
    key: Key,
    body: Bytes,
    modified: Timestamp,
}

impl MemoryBucket {
    /// An empty bucket that dates its objects by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, objects: Arc::default() }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Bucket for MemoryBucket {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        let what = key.to_string();
        match self.objects().get(&what).map(|object| object.body.clone()) {
            None => Err(BucketError::NotFound { what }),
            Some(body) if body.len() as u64 > limit => {
                Err(BucketError::TooLarge { what, announced: body.len() as u64, limit })
            }
            Some(body) => Ok(body),
        }
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        let modified = self.clock.now();
        let mut objects = self.objects();
        match objects.get(&key.to_string()) {
            Some(object) if object.body == body => Ok(Put::Unchanged),
            Some(_) => Ok(Put::Occupied),
            None => {
                objects.insert(key.to_string(), Object { key: *key, body, modified });
                Ok(Put::Created)
            }
        }
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        let folder = format!("{prefix}/");
        let after = after.map(Key::to_string);
        let objects = self.objects();
        let listing = objects
            .range(folder.clone()..)
            .take_while(|(name, _)| name.starts_with(&folder))
            .filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after))
            .map(|(_, object)| Listed { key: object.key, length: object.body.len() as u64, modified: object.modified });
        Ok(listing.collect())
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.objects().remove(&key.to_string());
        Ok(())
    }
}
