//! One writer per run.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::training::checkpoint::error::CheckpointError;
use crate::training::checkpoint::names::checkpoints_folder;

/// Keeps every other process from saving into the same run.
///
/// Without it, one process would sweep away what another is just writing. The
/// system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct RunLock {
    _file: Option<File>,
}

impl RunLock {
    /// Takes the lock of `run`, whose folder of checkpoints exists.
    pub(super) fn take(run: &Path) -> Result<Self, CheckpointError> {
        let path = checkpoints_folder(run).join(".lock");
        let file =
            File::create(&path).map_err(|source| CheckpointError::io("create", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::InUse { run: run.to_owned() }),
            // Some network file systems have no locks; there, nobody is kept out.
            Err(TryLockError::Error(_)) => Ok(Self { _file: None }),
        }
    }
}
