//! The lock that keeps a run to one writer.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::training::checkpoint::error::CheckpointError;
use crate::training::checkpoint::names::checkpoints_folder;

/// An exclusive lock on the checkpoints of a run.
///
/// A second process would otherwise remove the folder that the first one is writing. The system
/// releases the lock when the process ends, also after a crash.
#[derive(Debug)]
pub(super) struct RunLock {
    _file: Option<File>,
}

impl RunLock {
    /// Takes the lock of `run`. Its folder of checkpoints must exist.
    pub(super) fn take(run: &Path) -> Result<Self, CheckpointError> {
        let path = checkpoints_folder(run).join(".lock");
        let file =
            File::create(&path).map_err(|source| CheckpointError::io("create", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::InUse { run: run.to_owned() }),
            // Some network file systems have no locks. Training there must still be possible, so a
            // second process is not detected.
            Err(TryLockError::Error(_)) => Ok(Self { _file: None }),
        }
    }
}
