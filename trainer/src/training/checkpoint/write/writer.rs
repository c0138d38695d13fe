//! Saving while training goes on.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::store::CheckpointStore;
use crate::training::checkpoint::disk::{Disk, LocalDisk};
use crate::training::checkpoint::error::CheckpointError;
use crate::training::checkpoint::snapshot::Snapshot;

/// How checkpoints are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointOptions {
    /// How many of the newest stay; older ones go once a newer one is whole.
    pub keep: NonZeroUsize,
    /// Tensors beyond this many bytes go to several files.
    pub max_file_bytes: u64,
}

impl Default for CheckpointOptions {
    /// The newest two, in files of at most 5 GB.
    fn default() -> Self {
        Self { keep: NonZeroUsize::MIN.saturating_add(1), max_file_bytes: 5_000_000_000 }
    }
}

/// Writes the checkpoints of one run, one at a time, on a thread of its own.
///
/// - While it is open, no other process can save into the same run.
/// - An error in the background is returned by the next call.
/// - Dropping it waits for the checkpoint under way; call [`CheckpointWriter::wait`] to learn how that ended.
pub struct CheckpointWriter {
    store: Arc<CheckpointStore>,
    under_way: Option<JoinHandle<Result<PathBuf, CheckpointError>>>,
}

impl CheckpointWriter {
    /// The writer of the run in folder `run`, which is made if it does not exist.
    ///
    /// Removes what an earlier process may have left half-written or half-removed.
    ///
    /// # Errors
    /// [`CheckpointError::InUse`] if another process has it; [`CheckpointError::Io`] if the folder cannot be written.
    pub fn open(run: &Path, options: CheckpointOptions) -> Result<Self, CheckpointError> {
        Self::open_on(Arc::new(LocalDisk), run, options)
    }

    /// The same on another file system than this machine's own.
    ///
    /// # Errors
    /// As for [`CheckpointWriter::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        run: &Path,
        options: CheckpointOptions,
    ) -> Result<Self, CheckpointError> {
        Ok(Self { store: Arc::new(CheckpointStore::open(disk, run, options)?), under_way: None })
    }

    /// Starts to write `snapshot` and returns at once, or as soon as the previous one is written.
    ///
    /// A checkpoint of the same step is replaced, unless it is intact and holds
    /// the same weights. Returns the path of the previous one, if it was still under way.
    ///
    /// # Errors
    /// That of the previous checkpoint; then this one is not written.
    pub fn save(&mut self, snapshot: Snapshot) -> Result<Option<PathBuf>, CheckpointError> {
        let previous = self.wait()?;
        let store = Arc::clone(&self.store);
        let started =
            thread::Builder::new().name("checkpoint".into()).spawn(move || store.save(&snapshot));
        self.under_way = Some(started.map_err(|_| CheckpointError::WriterStopped)?);
        Ok(previous)
    }

    /// Returns the path of the checkpoint that has become whole since the last call, if any, without waiting.
    ///
    /// # Errors
    /// That of the checkpoint, if it ended with one.
    pub fn poll(&mut self) -> Result<Option<PathBuf>, CheckpointError> {
        if self.under_way.as_ref().is_some_and(JoinHandle::is_finished) {
            self.wait()
        } else {
            Ok(None)
        }
    }

    /// Waits for the checkpoint under way, if any, and returns its path.
    ///
    /// # Errors
    /// That of the checkpoint, if it ended with one.
    pub fn wait(&mut self) -> Result<Option<PathBuf>, CheckpointError> {
        match self.under_way.take() {
            Some(thread) => thread.join().map_err(|_| CheckpointError::WriterStopped)?.map(Some),
            None => Ok(None),
        }
    }

    /// Removes the checkpoints of later steps than `step`: what a run that goes on from there will write anew.
    ///
    /// Call it when a run is wound back on purpose, or a later start would
    /// take the abandoned checkpoints for the newest.
    ///
    /// # Errors
    /// That of the checkpoint under way, or [`CheckpointError::Io`].
    pub fn discard_after(&mut self, step: u64) -> Result<(), CheckpointError> {
        self.wait()?;
        self.store.discard_after(step)
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        // Nobody is left to hear of an error; a checkpoint cut short would be worse.
        let _ = self.wait();
    }
}

impl fmt::Debug for CheckpointWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CheckpointWriter")
            .field("busy", &self.under_way.is_some())
            .finish_non_exhaustive()
    }
}
