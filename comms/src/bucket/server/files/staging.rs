//! Where bodies lie until they are whole: a corner of the store that no key reaches.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path as FilePath;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::path::Path;

use crate::bucket::server::error::ServerError;

/// The corner's name, at the root of the store so that what is whole moves into place without being copied.
const CORNER: &str = ".uploads";

/// Names for what is not whole yet, each given once.
#[derive(Debug, Default)]
pub(super) struct StagingArea {
    given: AtomicU64,
}

impl StagingArea {
    pub(super) fn next(&self) -> Path {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        Path::from(format!("{CORNER}/staged/{number}"))
    }
}

/// Whether `path` lies in the corner.
pub(crate) fn is_staged(path: &Path) -> bool {
    path.parts().next().is_some_and(|step| step.as_ref() == CORNER)
}

/// Takes the folder for this process and clears what an earlier one left unfinished.
///
/// It is ours until the file that is returned is dropped.
pub(crate) fn claim(folder: &FilePath) -> Result<File, ServerError> {
    let broken = |source| ServerError::Folder { path: folder.into(), source };
    if !folder.is_dir() {
        return Err(broken(io::ErrorKind::NotADirectory.into()));
    }
    let corner = folder.join(CORNER);
    std::fs::create_dir_all(&corner).map_err(broken)?;
    let lock = File::create(corner.join("lock")).map_err(broken)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(ServerError::InUse { path: folder.into() }),
        Err(TryLockError::Error(source)) => return Err(broken(source)),
    }
    match std::fs::remove_dir_all(corner.join("staged")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(broken(error)),
        _ => Ok(lock),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_server() {
        let folder = tempfile::tempdir().unwrap();
        let first = claim(folder.path()).unwrap();
        assert!(matches!(claim(folder.path()), Err(ServerError::InUse { .. })));
        drop(first);
        claim(folder.path()).unwrap();
    }

    #[test]
    fn what_was_left_unfinished_is_cleared_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let staged = folder.path().join(".uploads/staged");
        std::fs::create_dir_all(&staged).unwrap();
        std::fs::write(staged.join("7"), "half").unwrap();
        std::fs::write(folder.path().join("whole"), "whole").unwrap();
        claim(folder.path()).unwrap();
        assert!(!staged.exists() && folder.path().join("whole").exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent");
        assert!(matches!(claim(&path), Err(ServerError::Folder { .. })));
        assert!(!path.exists());
    }

    #[test]
    fn names_differ_and_are_staged() {
        let staging = StagingArea::default();
        let (one, other) = (staging.next(), staging.next());
        assert!(one != other && is_staged(&one) && is_staged(&other));
        assert!(!is_staged(&Path::from("run/.uploads")));
    }
}
