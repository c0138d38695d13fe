//! The objects of the bucket: written whole or not at all, in a store that knows folders or memory.

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
use crate::bucket::server::http::{Arrival, BodyStream, answer, outflow};

/// What becomes of an object that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It stays, and the write fails.
    Create,
    /// It is replaced, at one instant.
    Replace,
}

/// A store, and how bodies get into it.
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
        self.store.head(path).await.map_err(answer)
    }

    /// An object, or a part of it that must not be empty.
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
        self.store.get_opts(path, GetOptions::default().with_range(range)).await.map_err(answer)
    }

    /// Removes an object, if it is there.
    pub(crate) async fn remove(&self, path: &Path) -> S3Result<()> {
        match self.store.delete(path).await.map_err(answer) {
            Err(error) if *error.code() != S3ErrorCode::NoSuchKey => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes an object as its body arrives; others see it when it is whole.
    pub(crate) async fn write(
        &self,
        path: &Path,
        flow: BodyStream,
        length: Option<u64>,
        mode: Mode,
    ) -> S3Result<ObjectMeta> {
        let mut arrival = Arrival::new(flow, length, self.max_object)?;
        let first = arrival.next_block().await?;
        if !arrival.has_ended() {
            let staged = self.stage(first, arrival).await?;
            return self.publish(staged, path.clone(), mode).await;
        }
        let mode = match mode {
            Mode::Create => PutMode::Create,
            Mode::Replace => PutMode::Overwrite,
        };
        self.store.put_opts(path, first.into(), mode.into()).await.map_err(answer)?;
        self.head(path).await
    }

    /// Writes a body where no key reaches and gives its name there.
    pub(crate) async fn set_aside(
        &self,
        flow: BodyStream,
        length: Option<u64>,
    ) -> S3Result<ObjectMeta> {
        let mut arrival = Arrival::new(flow, length, self.max_object)?;
        let first = arrival.next_block().await?;
        let staged = self.stage(first, arrival).await?;
        self.head(&staged).await
    }

    /// Writes what was set aside, one after the other, as one object.
    pub(crate) async fn assemble(
        &self,
        parts: Vec<Path>,
        path: &Path,
        mode: Mode,
    ) -> S3Result<ObjectMeta> {
        let store = Arc::clone(&self.store);
        let flow = futures_util::stream::iter(parts)
            .then(move |part| {
                let store = Arc::clone(&store);
                async move { store.get(&part).await.map(outflow).map_err(StdError::from) }
            })
            .try_flatten();
        self.write(path, flow.boxed(), None, mode).await
    }

    /// Copies within the bucket.
    pub(crate) async fn copy(&self, from: &Path, to: &Path, mode: Mode) -> S3Result<ObjectMeta> {
        let copied = match mode {
            Mode::Create => self.store.copy_if_not_exists(from, to).await,
            Mode::Replace => self.store.copy(from, to).await,
        };
        copied.map_err(answer)?;
        self.head(to).await
    }

    /// Writes each block while the next one arrives. What is not finished vanishes when this is dropped.
    async fn stage(&self, first: Bytes, mut arrival: Arrival) -> S3Result<Path> {
        let staged = self.staging.next();
        let mut upload = self.store.put_multipart(&staged).await.map_err(answer)?;
        let mut block = first;
        while !block.is_empty() {
            let writing = upload.put_part(block.into());
            let (_, next) =
                try_join(async { writing.await.map_err(answer) }, arrival.next_block()).await?;
            block = next;
        }
        upload.complete().await.map_err(answer)?;
        Ok(staged)
    }

    /// Moves what is whole into place. In a task of its own, because a client that leaves now must leave no trace in the
    /// corner of what is not whole.
    async fn publish(&self, staged: Path, path: Path, mode: Mode) -> S3Result<ObjectMeta> {
        let store = Arc::clone(&self.store);
        let moving = tokio::spawn(async move {
            let moved = match mode {
                Mode::Create => store.copy_if_not_exists(&staged, &path).await,
                Mode::Replace => store.rename(&staged, &path).await,
            };
            if mode == Mode::Create || moved.is_err() {
                // At worst a file stays in the corner, until the next start.
                let _ = store.delete(&staged).await;
            }
            moved?;
            store.head(&path).await
        });
        match moving.await {
            Ok(moved) => moved.map_err(answer),
            Err(error) => Err(S3Error::with_source(S3ErrorCode::InternalError, error.into())),
        }
    }
}

/// The place of a key in the store; keys that would share a place with another, or reach into the corner of what is not
/// whole, have none.
pub(crate) fn place(key: &str) -> S3Result<Path> {
    let path = Path::parse(key).map_err(|_| unfit(key))?;
    // The store would drop slashes at the ends.
    match path.as_ref() == key && !key.is_empty() && !is_staged(&path) {
        true => Ok(path),
        false => Err(unfit(key)),
    }
}

fn unfit(key: &str) -> S3Error {
    s3_error!(InvalidArgument, "`{key}` is no key here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_place_inside_the_bucket() {
        for key in ["run/description", "a", "a b", "ä%2F", "rounds/0000000001/manifest"] {
            assert_eq!(place(key).unwrap().as_ref(), key);
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
            assert!(place(key).is_err(), "{key}");
        }
    }
}
