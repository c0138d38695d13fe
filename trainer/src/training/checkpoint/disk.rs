//! What writing a checkpoint asks of a file system.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// The changes that a checkpoint makes to a file system, one method each.
///
/// An argument rather than a call to the standard library, so that tests can
/// fill the disk up or pull the plug between any two of them.
pub trait Disk: Send + Sync {
    /// Makes a folder and its parents; an existing one is fine.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes an empty file, replacing an existing one.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file or folder another name in the same parent, in one step.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a folder and all in it.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Returns once the names in a folder survive a power failure.
    ///
    /// # Errors
    /// Whatever the file system reports.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub trait DiskFile: Write + Send {
    /// Returns once everything written survives a power failure.
    ///
    /// # Errors
    /// Whatever the file system reports.
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

    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    // Elsewhere a folder cannot be opened, and names are journaled with the rename.
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
