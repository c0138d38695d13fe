//! The staging area: a folder of the store for incomplete bodies, which no key reaches.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path as FilePath;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::path::Path;

use crate::bucket::server::error::ServerError;

/// The name of the staging area. It is below the root of the store: a file is renamed within one
/// file system, not copied.
const STAGING: &str = ".uploads";

/// Assigns the paths of staged files, each only once.
#[derive(Debug, Default)]
pub(super) struct StagingArea {
    num_assigned: AtomicU64,
}

impl StagingArea {
    pub(super) fn next_path(&self) -> Path {
        // `Relaxed`, because only the number itself must be unique.
        let number = self.num_assigned.fetch_add(1, Ordering::Relaxed);
        Path::from(format!("{STAGING}/staged/{number}"))
    }
}

/// Returns true if `path` is in the staging area.
pub(crate) fn is_staged(path: &Path) -> bool {
    path.parts().next().is_some_and(|step| step.as_ref() == STAGING)
}

/// Locks the folder for this process until the returned file is dropped. Removes the unfinished
/// files of an earlier process.
pub(crate) fn lock(folder: &FilePath) -> Result<File, ServerError> {
    let file = match open_lock(folder) {
        Ok(file) => file,
        Err(source) => return Err(ServerError::Folder { path: folder.into(), source }),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(ServerError::InUse { path: folder.into() }),
        Err(TryLockError::Error(source)) => {
            return Err(ServerError::Folder { path: folder.into(), source });
        }
    }
    // Only under the lock, otherwise these may be the files of a running server.
    match std::fs::remove_dir_all(folder.join(STAGING).join("staged")) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ServerError::Folder { path: folder.into(), source })
        }
        _ => Ok(file),
    }
}

fn open_lock(folder: &FilePath) -> io::Result<File> {
    if !folder.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let staging = folder.join(STAGING);
    std::fs::create_dir_all(&staging)?;
    File::create(staging.join("lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_server() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(matches!(lock(folder.path()), Err(ServerError::InUse { .. })));
        drop(first);
        lock(folder.path()).unwrap();
    }

    #[test]
    fn unfinished_files_are_removed_and_objects_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let staged = folder.path().join(".uploads/staged");
        std::fs::create_dir_all(&staged).unwrap();
        std::fs::write(staged.join("7"), "half").unwrap();
        std::fs::write(folder.path().join("whole"), "whole").unwrap();
        lock(folder.path()).unwrap();
        assert!(!staged.exists() && folder.path().join("whole").exists());
    }

    #[test]
    fn an_absent_folder_is_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent");
        assert!(matches!(lock(&path), Err(ServerError::Folder { .. })));
        assert!(!path.exists());
    }

    #[test]
    fn each_staged_file_has_its_own_path() {
        let staging = StagingArea::default();
        let (one, other) = (staging.next_path(), staging.next_path());
        assert!(one != other && is_staged(&one) && is_staged(&other));
        assert!(!is_staged(&Path::from("run/.uploads")));
    }
}
