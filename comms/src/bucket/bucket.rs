//! What every bucket promises.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::error::BucketError;
use crate::objects::{Key, Prefix};
use crate::primitives::Timestamp;

/// What became of an object that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an occupied key means that nothing was written"]
pub enum Put {
    /// It was not there, now it is.
    Created,
    /// It was there already, byte for byte: another try of ours arrived, and only its acknowledgement was lost.
    Unchanged,
    /// Something else is there and stays.
    Occupied,
}

impl Put {
    /// Whether the key now holds what was to be written.
    pub fn is_stored(self) -> bool {
        self != Self::Occupied
    }
}

/// One object of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub key: Key,
    /// Its length in bytes.
    pub length: u64,
    /// When it was written, by the clock of the store.
    pub modified: Timestamp,
}

/// A place for objects that are written once.
///
/// - An object appears whole or not at all.
/// - An object that was written is found at once, and by the next listing (S3 and file systems promise this).
/// - An object never changes; a [`Put::Occupied`] key keeps its first content. Stores that only pretend to refuse a
///   second write are found by [`probe`](super::probe::probe).
/// - Objects whose names are no [`Key`] do not exist: strangers may write what they like.
#[async_trait]
pub trait Bucket: Debug + Send + Sync {
    /// The whole object, if it has at most `limit` bytes; of a larger one nothing is downloaded.
    ///
    /// # Errors
    /// [`BucketError::NotFound`], [`BucketError::TooLarge`], or what the store says.
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError>;

    /// Writes an object unless its key is taken.
    ///
    /// # Errors
    /// What the store says; the object may have been written all the same, so trying again is right.
    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError>;

    /// The objects under `prefix` in ascending order of keys, only those after `after` if it is given.
    ///
    /// # Errors
    /// [`BucketError::ListingTooLong`], or what the store says. Where nothing is, the listing is empty.
    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError>;

    /// Removes an object; one that is not there is removed already.
    ///
    /// # Errors
    /// What the store says.
    async fn delete(&self, key: &Key) -> Result<(), BucketError>;
}

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
