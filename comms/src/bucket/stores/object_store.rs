//! A bucket behind the `object_store` crate: S3 or a folder.

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

/// The most objects that one listing reads, with or without the name of a key. Other programs may
/// fill the store, but they must not fill our memory or keep a listing busy forever.
const MAX_LISTING: usize = 1_000_000;

/// The part of an object store below a path, as a bucket.
#[derive(Clone, Debug)]
pub struct ObjectStoreBucket {
    store: Arc<dyn ObjectStore>,
    root: Path,
    checks_first: bool,
}

impl ObjectStoreBucket {
    /// Creates a bucket of the objects of `store` below `root`, for stores that have no URL.
    pub fn new(store: Arc<dyn ObjectStore>, root: Path) -> Self {
        Self { store, root, checks_first: false }
    }

    /// The same bucket, but every write first checks if its key is taken.
    ///
    /// For stores that [overwrite](crate::bucket::Creation::Overwrites). It protects a single
    /// writer and costs one request for each write. Two writers at the same instant still overwrite
    /// each other.
    pub fn looking_first(self) -> Self {
        Self { checks_first: true, ..self }
    }

    fn path(&self, name: &impl Display) -> Path {
        Path::from(format!("{}/{name}", self.root))
    }

    /// The key of a path in the store; `None` if the path is not a key below the root.
    fn key(&self, path: &Path) -> Option<Key> {
        let name = path.as_ref().strip_prefix(self.root.as_ref())?;
        name.strip_prefix('/').unwrap_or(name).parse().ok()
    }

    fn listed(&self, object: &ObjectMeta) -> Option<Listed> {
        // Times before 1970 count as 1970: they are wrong in any case.
        let micros = u64::try_from(object.last_modified.timestamp_micros()).unwrap_or_default();
        let key = self.key(&object.location)?;
        Some(Listed { key, length: object.size, modified: Timestamp::from_micros(micros) })
    }

    /// Compares the object of a taken key with `body`, which was to be written there.
    async fn compare(&self, key: &Key, body: &Bytes) -> Result<Put, BucketError> {
        match self.get(key, body.len() as u64).await {
            Ok(stored) if stored == body => Ok(Put::Unchanged),
            Ok(_) | Err(BucketError::TooLarge { .. }) => Ok(Put::Occupied),
            // The write found an object a moment ago. The store is not consistent yet, or the
            // object was removed; a later attempt finds out.
            Err(BucketError::NotFound { what }) => Err(BucketError::Unavailable {
                what,
                source: "the key is taken, but its object is missing".into(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Collects the keys of a listing; fails after [`MAX_LISTING`] objects.
    async fn collect_listing(
        &self,
        prefix: &Prefix,
        mut objects: BoxStream<'_, Result<ObjectMeta, StoreError>>,
    ) -> Result<Vec<Listed>, BucketError> {
        let mut listing = Vec::new();
        let mut num_read = 0;
        while let Some(object) =
            objects.try_next().await.map_err(|error| classify(prefix, error))?
        {
            num_read += 1;
            if num_read > MAX_LISTING {
                let what = prefix.to_string();
                return Err(BucketError::ListingTooLong { what, limit: MAX_LISTING });
            }
            listing.extend(self.listed(&object));
        }
        Ok(listing)
    }

    async fn is_taken(&self, key: &Key) -> Result<bool, BucketError> {
        match self.store.head(&self.path(key)).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(classify(key, error)),
        }
    }
}

#[async_trait]
impl Bucket for ObjectStoreBucket {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        let answer = self.store.get(&self.path(key)).await.map_err(|error| classify(key, error))?;
        let announced = answer.meta.size;
        if announced > limit {
            return Err(BucketError::TooLarge { what: key.to_string(), announced, limit });
        }
        read_body(key, answer).await
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        if self.checks_first && self.is_taken(key).await? {
            return self.compare(key, &body).await;
        }
        match self
            .store
            .put_opts(&self.path(key), body.clone().into(), PutMode::Create.into())
            .await
        {
            Ok(_) => Ok(Put::Created),
            // Stores report a taken key in either way.
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                self.compare(key, &body).await
            }
            Err(error) => Err(classify(key, error)),
        }
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        let folder = self.path(prefix);
        let objects = match after {
            Some(after) => self.store.list_with_offset(Some(&folder), &self.path(after)),
            None => self.store.list(Some(&folder)),
        };
        let mut listing = self.collect_listing(prefix, objects).await?;
        // A file system lists a folder in any order.
        listing.sort_by_cached_key(|listed| listed.key.to_string());
        Ok(listing)
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        match self.store.delete(&self.path(key)).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(classify(key, error)),
        }
    }
}

/// Reads a body with an announced length that the caller accepts. Fails if the body has another
/// length.
async fn read_body(key: &Key, answer: GetResult) -> Result<Bytes, BucketError> {
    let expected = answer.meta.size;
    let body = match answer.payload {
        // In one read: the stream of a file has pieces of 8 KiB, each with a switch between
        // threads. Reads no more than the announced length, even if the file grows.
        GetResultPayload::File(..) => answer.bytes().await.map_err(|error| classify(key, error))?,
        GetResultPayload::Stream(pieces) => collect(key, pieces, expected).await?,
    };
    match body.len() as u64 {
        got if got == expected => Ok(body),
        got => Err(BucketError::Truncated { what: key.to_string(), expected, got }),
    }
}

/// Collects the pieces of a body until they exceed the announced length.
async fn collect(
    key: &Key,
    mut pieces: BoxStream<'static, Result<Bytes, StoreError>>,
    announced: u64,
) -> Result<Bytes, BucketError> {
    // Grows as bytes arrive: a server may announce a large body and send a small one.
    let mut body = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece.map_err(|error| classify(key, error))?);
        if body.len() as u64 > announced {
            break;
        }
    }
    Ok(body.freeze())
}

/// Classifies an error of the store by its kind.
fn classify(what: &impl Display, error: StoreError) -> BucketError {
    let what = what.to_string();
    match error {
        // S3 answers 404 to a missing object and to a missing bucket; only the code in the body
        // differs.
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
        error => classify_by_cause(what, error),
    }
}

/// Classifies an error without a kind: by the error of the system, or by the code in the answer of
/// an S3 server.
fn classify_by_cause(what: String, error: StoreError) -> BucketError {
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
    let source = error.into();
    if text.contains("NoSuchBucket") {
        BucketError::Missing { location: what }
    } else if DENIED.iter().any(|code| text.contains(code)) {
        BucketError::Denied { what, source }
    } else if FULL.iter().any(|code| text.contains(code)) {
        BucketError::Full { what, source }
    } else if REFUSED.iter().any(|code| text.contains(code)) {
        BucketError::Refused { what, source }
    } else {
        BucketError::Unavailable { what, source }
    }
}

// Parts of the texts of errors. `object_store` keeps the status and the body of an answer only as
// text.
const DENIED: [&str; 4] =
    ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403 Forbidden"];
const FULL: [&str; 3] = ["QuotaExceeded", "StorageFull", "507 Insufficient Storage"];
const REFUSED: [&str; 4] =
    ["EntityTooLarge", "InvalidBucketName", "InvalidArgument", "501 Not Implemented"];

/// The kind of the I/O error in the chain of causes, if there is one.
fn system_error(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => Some(error.kind()),
        None => system_error(error.source()?),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn generic(source: impl Into<Box<dyn Error + Send + Sync>>) -> BucketError {
        classify(&Key::RunDescription, StoreError::Generic { store: "test", source: source.into() })
    }

    #[test]
    fn errors_of_the_system_are_classified() {
        let full = generic(std::io::Error::from(ErrorKind::StorageFull));
        assert!(matches!(full, BucketError::Full { .. }), "{full:?}");
        let read_only = generic(std::io::Error::from(ErrorKind::ReadOnlyFilesystem));
        assert!(matches!(read_only, BucketError::Denied { .. }), "{read_only:?}");
        let interrupted = generic(std::io::Error::from(ErrorKind::ConnectionReset));
        assert!(interrupted.is_transient(), "{interrupted:?}");
    }

    #[test]
    fn error_codes_of_a_server_are_classified() {
        let answer =
            |code: &str| generic(format!("status 400: <Error><Code>{code}</Code></Error>"));
        assert!(matches!(answer("NoSuchBucket"), BucketError::Missing { .. }));
        assert!(matches!(answer("AccessDenied"), BucketError::Denied { .. }));
        assert!(matches!(answer("QuotaExceeded"), BucketError::Full { .. }));
        assert!(matches!(answer("EntityTooLarge"), BucketError::Refused { .. }));
        for code in ["SlowDown", "InternalError"] {
            assert!(answer(code).is_transient(), "{code}");
        }
    }

    #[test]
    fn permanent_errors_have_a_hint() {
        for code in ["NoSuchBucket", "AccessDenied", "QuotaExceeded"] {
            assert!(generic(code).hint().is_some(), "{code}");
        }
    }

    #[test]
    fn an_endless_listing_of_other_objects_ends_at_the_limit() {
        let store = object_store::memory::InMemory::new();
        let bucket = ObjectStoreBucket::new(Arc::new(store), Path::default());
        let object = ObjectMeta {
            location: Path::from("rounds/notes"),
            last_modified: Default::default(),
            size: 1,
            e_tag: None,
            version: None,
        };
        let objects = futures_util::stream::repeat_with(|| Ok(object.clone())).boxed();
        let listing = bucket.collect_listing(&Prefix::Rounds, objects).now_or_never().unwrap();
        assert!(matches!(listing, Err(BucketError::ListingTooLong { .. })), "{listing:?}");
    }
}
