//! A file that is hashed while it is written.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::error::CheckpointError;
use super::manifest::FileEntry;

/// A new file of a checkpoint and the hash of the bytes written so far.
// Hashing on the way saves reading gigabytes back, and the digest is that of the intended bytes:
// a disk that corrupts them is detected at the next read.
pub(super) struct HashedFile {
    path: PathBuf,
    name: String,
    file: Box<dyn DiskFile>,
    hasher: blake3::Hasher,
}

impl HashedFile {
    /// Creates the file `name` in `folder`.
    pub(super) fn create(
        disk: &dyn Disk,
        folder: &Path,
        name: &str,
    ) -> Result<Self, CheckpointError> {
        let path = folder.join(name);
        let file = disk
            .create_file(&path)
            .map_err(|source| CheckpointError::io("create", &path, source))?;
        Ok(Self { path, name: name.to_owned(), file, hasher: blake3::Hasher::new() })
    }

    /// Syncs the file to disk and returns its entry for the manifest.
    pub(super) fn finish(mut self) -> Result<FileEntry, CheckpointError> {
        self.file.sync().map_err(|source| CheckpointError::io("write", &self.path, source))?;
        let (length, blake3) = (self.hasher.count(), self.hasher.finalize().to_string());
        Ok(FileEntry { name: self.name, length, blake3 })
    }

    /// Writes a whole file from memory.
    pub(super) fn write_whole(
        disk: &dyn Disk,
        folder: &Path,
        name: &str,
        bytes: &[u8],
    ) -> Result<FileEntry, CheckpointError> {
        let mut file = Self::create(disk, folder, name)?;
        file.write_all(bytes).map_err(|source| CheckpointError::io("write", &file.path, source))?;
        file.finish()
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        // Only the accepted bytes: the caller passes the rest again.
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
