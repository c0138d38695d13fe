//! The objects of the bucket, in a store that writes to a folder or to memory.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
};
use s3s::dto::Range;
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, s3_error};

use super::staging::{StagingArea, is_staged};
use crate::bucket::server::http::{BodyStream, IncomingBody, object_stream, store_error};

/// The effect of a write on an existing object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteMode {
    /// The object stays, and the write fails.
    Create,
    /// The object is replaced atomically.
    Replace,
}

/// Reads and writes whole objects of at most `max_object` bytes.
#[derive(Debug)]
pub(crate) struct ObjectFiles {
    store: Arc<dyn ObjectStore>,
    staging: StagingArea,
    max_object: u64,
}

impl ObjectFiles {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, max_object: u64) -> Self {
        Self { store, staging: StagingArea::default(), max_object }
    }

    pub(crate) fn store(&self) -> &dyn ObjectStore {
        self.store.as_ref()
    }

    pub(crate) async fn head(&self, path: &Path) -> S3Result<ObjectMeta> {
        self.store.head(path).await.map_err(store_error)
    }

    /// Opens an object, or a range of it that is not empty.
    pub(crate) async fn get(&self, path: &Path, range: Option<Range>) -> S3Result<GetResult> {
        let range = match range {
            None => None,
            Some(range) => {
                let size = self.head(path).await?.size;
                let range = range
                    .check(size)
                    .map_err(|_| s3_error!(InvalidRange, "the object has {size} bytes"))?;
                Some(GetRange::Bounded(range))
            }
        };
        let options = GetOptions::default().with_range(range);
        self.store.get_opts(path, options).await.map_err(store_error)
    }

    /// Removes an object. Succeeds if it does not exist.
    pub(crate) async fn remove(&self, path: &Path) -> S3Result<()> {
        match self.store.delete(path).await.map_err(store_error) {
            Err(error) if *error.code() != S3ErrorCode::NoSuchKey => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes an object while its body arrives. It becomes visible when it is complete.
    pub(crate) async fn write(
        &self,
        path: &Path,
        stream: BodyStream,
        length: Option<u64>,
        mode: WriteMode,
    ) -> S3Result<ObjectMeta> {
        let mut body = IncomingBody::new(stream, length, self.max_object)?;
        let first = body.next_block().await?;
        if !body.has_ended() {
            let staged = self.stage(first, body).await?;
            return self.publish(staged, path.clone(), mode).await;
        }
        // A body of one block is in memory already, so the store can write it in one step.
        let mode = match mode {
            WriteMode::Create => PutMode::Create,
            WriteMode::Replace => PutMode::Overwrite,
        };
        self.store.put_opts(path, first.into(), mode.into()).await.map_err(store_error)?;
        self.head(path).await
    }

    /// Writes a part of an object to the staging area and returns its path there.
    pub(crate) async fn write_part(
        &self,
        stream: BodyStream,
        length: Option<u64>,
    ) -> S3Result<ObjectMeta> {
        let mut body = IncomingBody::new(stream, length, self.max_object)?;
        let first = body.next_block().await?;
        let staged = self.stage(first, body).await?;
        self.head(&staged).await
    }

    /// Writes parts of the staging area as one object, in the given order.
    pub(crate) async fn assemble(
        &self,
        parts: Vec<Path>,
        path: &Path,
        mode: WriteMode,
    ) -> S3Result<ObjectMeta> {
        let store = Arc::clone(&self.store);
        let stream = futures_util::stream::iter(parts)
            .then(move |part| {
                let store = Arc::clone(&store);
                async move { store.get(&part).await.map(object_stream).map_err(StdError::from) }
            })
            .try_flatten();
        self.write(path, stream.boxed(), None, mode).await
    }

    /// Copies an object within the bucket.
    pub(crate) async fn copy(
        &self,
        from: &Path,
        to: &Path,
        mode: WriteMode,
    ) -> S3Result<ObjectMeta> {
        let copied = match mode {
            WriteMode::Create => self.store.copy_if_not_exists(from, to).await,
            WriteMode::Replace => self.store.copy(from, to).await,
        };
        copied.map_err(store_error)?;
        self.head(to).await
    }

    /// Writes each block while the next one arrives. If this future is dropped, the unfinished file
    /// is removed.
    async fn stage(&self, first: Bytes, mut body: IncomingBody) -> S3Result<Path> {
        let staged = self.staging.next_path();
        let mut upload = self.store.put_multipart(&staged).await.map_err(store_error)?;
        let mut block = first;
        while !block.is_empty() {
            let writing = upload.put_part(block.into());
            let (_, next) =
                try_join(async { writing.await.map_err(store_error) }, body.next_block()).await?;
            block = next;
        }
        upload.complete().await.map_err(store_error)?;
        Ok(staged)
    }

    /// Moves a staged file to the path of its key.
    async fn publish(&self, staged: Path, path: Path, mode: WriteMode) -> S3Result<ObjectMeta> {
        let store = Arc::clone(&self.store);
        // A separate task, which also finishes if the client leaves now. Otherwise the staged file
        // would stay.
        let moving = tokio::spawn(async move {
            // A rename would overwrite; a copy that fails on an existing file is a hard link, not a
            // copy of bytes.
            let moved = match mode {
                WriteMode::Create => store.copy_if_not_exists(&staged, &path).await,
                WriteMode::Replace => store.rename(&staged, &path).await,
            };
            if mode == WriteMode::Create || moved.is_err() {
                // If this fails, the file stays in the staging area until the next start.
                let _ = store.delete(&staged).await;
            }
            moved?;
            store.head(&path).await
        });
        match moving.await {
            Ok(moved) => moved.map_err(store_error),
            Err(error) => Err(S3Error::with_source(S3ErrorCode::InternalError, error.into())),
        }
    }
}

/// The path of a key in the store.
///
/// # Errors
/// `InvalidArgument` if the key would share its path with another one, or if the path is in the
/// staging area.
pub(crate) fn object_path(key: &str) -> S3Result<Path> {
    let path = Path::parse(key).map_err(|_| invalid_key(key))?;
    // `parse` drops slashes at both ends, so the keys `a` and `a/` would be one file.
    if path.as_ref() == key && !key.is_empty() && !is_staged(&path) {
        Ok(path)
    } else {
        Err(invalid_key(key))
    }
}

fn invalid_key(key: &str) -> S3Error {
    s3_error!(InvalidArgument, "`{key}` is not a valid key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_path_inside_the_bucket() {
        for key in ["run/description", "a", "a b", "ä%2F", "rounds/0000000001/manifest"] {
            assert_eq!(object_path(key).unwrap().as_ref(), key);
        }
        for key in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            "..",
            "a/../b",
            "./a",
            "a/.",
            ".uploads/staged/1",
            ".uploads",
            "a\nb",
        ] {
            assert!(object_path(key).is_err(), "{key}");
        }
    }
}
