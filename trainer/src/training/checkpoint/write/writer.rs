//! The background writer of a run's checkpoints.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::store::CheckpointStore;
use crate::training::checkpoint::disk::{Disk, LocalDisk};
use crate::training::checkpoint::error::CheckpointError;
use crate::training::checkpoint::snapshot::Snapshot;

/// Settings for writing and keeping checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointOptions {
    /// Number of newest checkpoints to keep. Older ones are removed once a newer one is complete.
    pub keep: NonZeroUsize,
    /// Largest size of a tensor file in bytes; more tensors go to several files.
    pub max_file_bytes: u64,
}

impl Default for CheckpointOptions {
    /// The newest two, in files of at most 5 GB.
    fn default() -> Self {
        // Two, so one remains if the newest turns out to be damaged. 5 GB is the default shard size
        // of `transformers`.
        Self { keep: NonZeroUsize::MIN.saturating_add(1), max_file_bytes: 5_000_000_000 }
    }
}

/// Writes the checkpoints of one run, one at a time, on a separate thread.
///
/// - While it is open, no other process can save into the same run.
/// - An error of the thread is returned by the next call.
/// - Dropping the writer waits for the checkpoint in progress and ignores its error; call
///   [`CheckpointWriter::wait`] first to get it.
pub struct CheckpointWriter {
    store: Arc<CheckpointStore>,
    in_progress: Option<JoinHandle<Result<PathBuf, CheckpointError>>>,
}

impl CheckpointWriter {
    /// The writer of the run in folder `run`, which is created if it does not exist.
    ///
    /// Removes folders that an earlier process left half written or half removed.
    ///
    /// # Errors
    /// [`CheckpointError::InUse`] if another process has the run open; [`CheckpointError::Io`] if
    /// the folder cannot be written.
    pub fn open(run: &Path, options: CheckpointOptions) -> Result<Self, CheckpointError> {
        Self::open_on(Arc::new(LocalDisk), run, options)
    }

    /// [`CheckpointWriter::open`] on another [`Disk`].
    ///
    /// # Errors
    /// As for [`CheckpointWriter::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        run: &Path,
        options: CheckpointOptions,
    ) -> Result<Self, CheckpointError> {
        Ok(Self { store: Arc::new(CheckpointStore::open(disk, run, options)?), in_progress: None })
    }

    /// Starts to write `snapshot`, and returns as soon as the previous checkpoint is written.
    ///
    /// Replaces a checkpoint of the same step, unless it is intact with the same weights. An
    /// unreadable one is kept under another name. Returns the path of the previous checkpoint if it
    /// was still in progress.
    ///
    /// # Errors
    /// The error of the previous checkpoint; `snapshot` is not written then.
    pub fn save(&mut self, snapshot: Snapshot) -> Result<Option<PathBuf>, CheckpointError> {
        // At most one snapshot is in memory: two would need another 16 bytes per parameter.
        let previous = self.wait()?;
        let store = Arc::clone(&self.store);
        let started =
            thread::Builder::new().name("checkpoint".into()).spawn(move || store.save(&snapshot));
        self.in_progress = Some(started.map_err(|_| CheckpointError::WriterStopped)?);
        Ok(previous)
    }

    /// Returns the path of the checkpoint that has been completed since the last call, without
    /// waiting.
    ///
    /// # Errors
    /// The error of the checkpoint if it failed.
    pub fn poll(&mut self) -> Result<Option<PathBuf>, CheckpointError> {
        if self.in_progress.as_ref().is_some_and(JoinHandle::is_finished) {
            self.wait()
        } else {
            Ok(None)
        }
    }

    /// Waits for the checkpoint in progress, if any, and returns its path.
    ///
    /// # Errors
    /// The error of the checkpoint if it failed.
    pub fn wait(&mut self) -> Result<Option<PathBuf>, CheckpointError> {
        match self.in_progress.take() {
            Some(thread) => thread.join().map_err(|_| CheckpointError::WriterStopped)?.map(Some),
            None => Ok(None),
        }
    }

    /// Sets the checkpoints of later steps than `step` aside, and returns their new paths.
    ///
    /// Call it before a run continues from `step`: the next start would otherwise take them for the
    /// newest. They are renamed to `step-00000040.set-aside-1` and never removed.
    ///
    /// # Errors
    /// The error of the checkpoint in progress, or [`CheckpointError::Io`].
    pub fn set_aside_after(&mut self, step: u64) -> Result<Vec<PathBuf>, CheckpointError> {
        self.wait()?;
        self.store.set_aside_after(step)
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        // `drop` cannot return an error. Waiting completes the checkpoint: if the process ended
        // now, the thread would be killed in the middle of it.
        let _ = self.wait();
    }
}

impl fmt::Debug for CheckpointWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CheckpointWriter")
            .field("in_progress", &self.in_progress.is_some())
            .finish_non_exhaustive()
    }
}
