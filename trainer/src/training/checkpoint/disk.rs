//! The file-system operations that writing a checkpoint needs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// A file system, reduced to the changes that a checkpoint makes to it.
///
/// It is an argument of the writer and not a call to the standard library: tests replace it by a
/// disk that is full or loses power between any two operations.
pub trait Disk: Send + Sync {
    /// Creates a folder and its parents; an existing folder is not an error.
    ///
    /// # Errors
    /// Errors of the file system.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Creates an empty file, replacing an existing one.
    ///
    /// # Errors
    /// Errors of the file system.
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Renames a file or folder within its parent, atomically.
    ///
    /// # Errors
    /// Errors of the file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a folder with its contents.
    ///
    /// # Errors
    /// Errors of the file system.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Returns once the names in a folder survive a power failure.
    ///
    /// # Errors
    /// Errors of the file system.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub trait DiskFile: Write + Send {
    /// Returns once all written bytes survive a power failure.
    ///
    /// # Errors
    /// Errors of the file system.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    // On POSIX, a rename is durable only after the folder itself is synced.
    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    // On Windows a folder cannot be opened as a file, and NTFS journals renames.
    #[cfg(not(unix))]
    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}
