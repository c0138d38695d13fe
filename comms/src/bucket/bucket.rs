//! The trait of all buckets, and its laws.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::error::BucketError;
use crate::objects::{Key, Prefix};
use crate::primitives::Timestamp;

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an occupied key means that the object was not written"]
pub enum Put {
    /// The key was free and now holds the object.
    Created,
    /// The key already held the same bytes: an earlier attempt arrived, but its acknowledgement was
    /// lost.
    Unchanged,
    /// The key holds other bytes and keeps them.
    Occupied,
}

impl Put {
    /// Returns true if the key now holds the object.
    pub fn is_stored(self) -> bool {
        self != Self::Occupied
    }
}

/// One object of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key of the object.
    pub key: Key,
    /// The length in bytes.
    pub length: u64,
    /// The time of the write, by the clock of the store.
    pub modified: Timestamp,
}

/// A store of write-once objects.
///
/// - An object appears whole or not at all.
/// - A written object is visible at once to reads and listings (S3 and file systems promise this).
/// - An object never changes; a [`Put::Occupied`] key keeps its first content.
///   [`probe`](super::probe::probe) detects stores that report success and overwrite.
/// - Objects with names that do not parse as a [`Key`] are ignored: other programs may write to the
///   store.
#[async_trait]
pub trait Bucket: Debug + Send + Sync {
    /// Reads an object of at most `limit` bytes. Does not download the body of a larger one.
    ///
    /// # Errors
    /// [`BucketError::NotFound`], [`BucketError::TooLarge`], or the error of the store.
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError>;

    /// Writes an object unless the key is taken.
    ///
    /// # Errors
    /// The error of the store. The object may be written nevertheless, so it is right to try again.
    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError>;

    /// Lists the objects under `prefix` in ascending order of keys; if `after` is given, only those
    /// after it.
    ///
    /// The listing is empty if no object has the prefix.
    ///
    /// # Errors
    /// [`BucketError::ListingTooLong`], or the error of the store.
    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError>;

    /// Removes an object. Succeeds if the object does not exist.
    ///
    /// # Errors
    /// The error of the store.
    async fn delete(&self, key: &Key) -> Result<(), BucketError>;
}

// Decorators take their bucket by value, so a shared bucket, also a `dyn Bucket`, must be a bucket
// itself.
#[async_trait]
impl<B: Bucket + ?Sized> Bucket for Arc<B> {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        self.as_ref().get(key, limit).await
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        self.as_ref().put_new(key, body).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        self.as_ref().list(prefix, after).await
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.as_ref().delete(key).await
    }
}
