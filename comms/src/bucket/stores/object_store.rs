//! A bucket behind `object_store`: S3 or a folder.

use std::error::Error;
use std::fmt::Display;
use std::io::ErrorKind;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetResult, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode,
};

use crate::bucket::bucket::{Bucket, Listed, Put};
use crate::bucket::error::BucketError;
use crate::objects::{Key, Prefix};
use crate::primitives::Timestamp;

/// The most objects that one listing brings; a bucket that strangers fill must not fill our memory.
const MAX_LISTING: usize = 1_000_000;

/// The part of an object store below a path.
#[derive(Clone, Debug)]
pub struct ObjectStoreBucket {
    store: Arc<dyn ObjectStore>,
    root: Path,
    looks_first: bool,
}

impl ObjectStoreBucket {
    /// The part of `store` below `root`, for stores that no URL reaches.
    pub fn new(store: Arc<dyn ObjectStore>, root: Path) -> Self {
        Self { store, root, looks_first: false }
    }

    /// The same bucket, but every write first looks whether its key is taken.
    ///
    /// For stores that [overwrite](crate::bucket::probe::Creation::Overwrites). It keeps one writer from overwriting itself and costs a
    /// request per write; two writers at the same instant still overwrite each other.
    pub fn looking_first(self) -> Self {
        Self { looks_first: true, ..self }
    }

    fn path(&self, name: &impl Display) -> Path {
        Path::from(format!("{}/{name}", self.root))
    }

    /// The key of a path in the store, if it is one of ours.
    fn key(&self, path: &Path) -> Option<Key> {
        let name = path.as_ref().strip_prefix(self.root.as_ref())?;
        name.strip_prefix('/').unwrap_or(name).parse().ok()
    }

    fn listed(&self, object: &ObjectMeta) -> Option<Listed> {
        let micros = u64::try_from(object.last_modified.timestamp_micros()).unwrap_or_default();
        let key = self.key(&object.location)?;
        Some(Listed { key, length: object.size, modified: Timestamp::from_micros(micros) })
    }

    /// What a key that is taken holds, seen from someone who wants to write `body` there.
    async fn compare(&self, key: &Key, body: &Bytes) -> Result<Put, BucketError> {
        match self.get(key, body.len() as u64).await {
            Ok(stored) if stored == body => Ok(Put::Unchanged),
            Ok(_) | Err(BucketError::TooLarge { .. }) => Ok(Put::Occupied),
            // It was there a moment ago: the store has not settled yet.
            Err(BucketError::NotFound { what }) => Err(BucketError::Unavailable {
                what,
                source: "key is taken, but its object is not there".into(),
            }),
            Err(error) => Err(error),
        }
    }

    async fn is_taken(&self, key: &Key) -> Result<bool, BucketError> {
        match self.store.head(&self.path(key)).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(meaning(key, error)),
        }
    }
}

#[async_trait]
impl Bucket for ObjectStoreBucket {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        let answer = self.store.get(&self.path(key)).await.map_err(|error| meaning(key, error))?;
        let announced = answer.meta.size;
        if announced > limit {
            return Err(BucketError::TooLarge { what: key.to_string(), announced, limit });
        }
        read_body(key, answer).await
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        if self.looks_first && self.is_taken(key).await? {
            return self.compare(key, &body).await;
        }
        match self
            .store
            .put_opts(&self.path(key), body.clone().into(), PutMode::Create.into())
            .await
        {
            Ok(_) => Ok(Put::Created),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                self.compare(key, &body).await
            }
            Err(error) => Err(meaning(key, error)),
        }
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        let folder = self.path(prefix);
        let mut objects = match after {
            Some(after) => self.store.list_with_offset(Some(&folder), &self.path(after)),
            None => self.store.list(Some(&folder)),
        };
        let mut listing = Vec::new();
        while let Some(object) = objects.try_next().await.map_err(|error| meaning(prefix, error))? {
            if listing.len() == MAX_LISTING {
                return Err(BucketError::ListingTooLong {
                    what: prefix.to_string(),
                    limit: MAX_LISTING,
                });
            }
            listing.extend(self.listed(&object));
        }
        // Folders are read in whatever order the file system keeps.
        listing.sort_by_cached_key(|listed| listed.key.to_string());
        Ok(listing)
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        match self.store.delete(&self.path(key)).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(meaning(key, error)),
        }
    }
}

/// Reads a body whose announced length is within limits, and not a byte more than that.
async fn read_body(key: &Key, answer: GetResult) -> Result<Bytes, BucketError> {
    let expected = answer.meta.size;
    let body = match answer.payload {
        // In one go: as a stream, files come in pieces of a few kilobytes, each with a hop between threads.
        GetResultPayload::File(..) => answer.bytes().await.map_err(|error| meaning(key, error))?,
        GetResultPayload::Stream(pieces) => collect(key, pieces, expected).await?,
    };
    match body.len() as u64 {
        got if got == expected => Ok(body),
        got => Err(BucketError::Truncated { what: key.to_string(), expected, got }),
    }
}

/// Collects what a server sends, until there is more than it announced.
async fn collect(
    key: &Key,
    mut pieces: BoxStream<'static, Result<Bytes, StoreError>>,
    announced: u64,
) -> Result<Bytes, BucketError> {
    // Grown as bytes arrive, not as they are announced.
    let mut body = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece.map_err(|error| meaning(key, error))?);
        if body.len() as u64 > announced {
            break;
        }
    }
    Ok(body.freeze())
}

/// What an error of the store means to us.
fn meaning(what: &impl Display, error: StoreError) -> BucketError {
    let what = what.to_string();
    match error {
        StoreError::NotFound { source, .. } if source.to_string().contains("NoSuchBucket") => {
            BucketError::Missing { location: what }
        }
        StoreError::NotFound { .. } => BucketError::NotFound { what },
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            BucketError::Denied { what, source: error.into() }
        }
        StoreError::NotSupported { .. }
        | StoreError::NotImplemented { .. }
        | StoreError::InvalidPath { .. }
        | StoreError::UnknownConfigurationKey { .. } => {
            BucketError::Refused { what, source: error.into() }
        }
        error => meaning_of_cause(what, error),
    }
}

/// Looks for what the store did not name: what the system said, or a code in the answer of an S3 server.
fn meaning_of_cause(what: String, error: StoreError) -> BucketError {
    match system_error(&error) {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) => {
            return BucketError::Full { what, source: error.into() };
        }
        Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            return BucketError::Denied { what, source: error.into() };
        }
        _ => {}
    }
    let text = error.to_string();
    let says = |codes: &[&str]| codes.iter().any(|code| text.contains(code));
    let source = error.into();
    match () {
        () if says(&["NoSuchBucket"]) => BucketError::Missing { location: what },
        () if says(&[
            "AccessDenied",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "403 Forbidden",
        ]) =>
        {
            BucketError::Denied { what, source }
        }
        () if says(&["QuotaExceeded", "StorageFull", "507 Insufficient Storage"]) => {
            BucketError::Full { what, source }
        }
        () if says(&[
            "EntityTooLarge",
            "InvalidBucketName",
            "InvalidArgument",
            "501 Not Implemented",
        ]) =>
        {
            BucketError::Refused { what, source }
        }
        () => BucketError::Unavailable { what, source },
    }
}

/// The kind of the system's error at the root of `error`, if there is one.
fn system_error(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => Some(error.kind()),
        None => system_error(error.source()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl Into<Box<dyn Error + Send + Sync>>) -> BucketError {
        meaning(&Key::RunDescription, StoreError::Generic { store: "test", source: source.into() })
    }

    #[test]
    fn what_the_system_says_is_understood() {
        let full = generic(std::io::Error::from(ErrorKind::StorageFull));
        assert!(matches!(full, BucketError::Full { .. }), "{full:?}");
        let read_only = generic(std::io::Error::from(ErrorKind::ReadOnlyFilesystem));
        assert!(matches!(read_only, BucketError::Denied { .. }), "{read_only:?}");
        let interrupted = generic(std::io::Error::from(ErrorKind::ConnectionReset));
        assert!(interrupted.is_transient(), "{interrupted:?}");
    }

    #[test]
    fn what_a_server_says_is_understood() {
        let answer =
            |code: &str| generic(format!("status 400: <Error><Code>{code}</Code></Error>"));
        assert!(matches!(answer("NoSuchBucket"), BucketError::Missing { .. }));
        assert!(matches!(answer("AccessDenied"), BucketError::Denied { .. }));
        assert!(matches!(answer("QuotaExceeded"), BucketError::Full { .. }));
        assert!(matches!(answer("EntityTooLarge"), BucketError::Refused { .. }));
        for passing in ["SlowDown", "InternalError"] {
            assert!(answer(passing).is_transient(), "{passing}");
        }
    }

    #[test]
    fn what_cannot_pass_says_what_to_do() {
        for code in ["NoSuchBucket", "AccessDenied", "QuotaExceeded"] {
            assert!(generic(code).hint().is_some(), "{code}");
        }
    }
}
