//! A file that is hashed while it is written.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::error::CheckpointError;
use super::manifest::FileEntry;

/// One file of a checkpoint on its way to the disk.
pub(super) struct HashedFile {
    path: PathBuf,
    name: String,
    file: Box<dyn DiskFile>,
    hasher: blake3::Hasher,
}

impl HashedFile {
    /// Starts the file `name` in `folder`.
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

    /// Returns once the file is safe, with what the manifest has to say about it.
    pub(super) fn finish(mut self) -> Result<FileEntry, CheckpointError> {
        self.file.sync().map_err(|source| CheckpointError::io("write", &self.path, source))?;
        let (length, blake3) = (self.hasher.count(), self.hasher.finalize().to_string());
        Ok(FileEntry { name: self.name, length, blake3 })
    }

    /// Makes a whole file at once.
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
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
