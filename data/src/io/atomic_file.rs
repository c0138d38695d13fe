//! Files that are either complete or absent.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The place where files are written: the file system, or in tests one that fills up.
pub trait WriteTarget: Send + Sync {
    /// Creates an empty file for writing; an existing one is truncated.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DurableWrite>>;
}

/// A writer that can force its bytes to the storage medium.
pub trait DurableWrite: Write {
    /// Returns when everything written before survives a power cut.
    fn make_durable(&mut self) -> io::Result<()>;
}

impl DurableWrite for File {
    fn make_durable(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

impl WriteTarget for FileSystem {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DurableWrite>> {
        Ok(Box::new(File::create(path)?))
    }
}

/// Writes a temporary file next to `path`, makes it durable and renames it to `path`.
///
/// After a crash or an error `path` has either its old contents or all of the new ones. After an
/// error the temporary file is removed.
pub fn write_atomically(
    disk: &dyn WriteTarget,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary_name(path);
    let written = write_and_rename(disk, &temporary, path, fill);
    if written.is_err() {
        // The first error is the one to report. A leftover under the temporary name is harmless.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Writes bytes that are already in memory; see [`write_atomically`].
pub fn write_bytes_atomically(disk: &dyn WriteTarget, path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomically(disk, path, |writer| writer.write_all(bytes))
}

fn write_and_rename(
    disk: &dyn WriteTarget,
    temporary: &Path,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 20, disk.create(temporary)?);
    fill(&mut writer)?;
    writer.flush()?;
    // Before the rename: after a power cut the new name could otherwise point to an empty file.
    writer.get_mut().make_durable()?;
    // Windows does not rename an open file.
    drop(writer);
    fs::rename(temporary, path)?;
    sync_folder(path)
}

/// Makes the rename itself durable. Only Unix opens a folder as a file.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        // The parent of a bare file name is the empty path, which cannot be opened.
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => {
            File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}

/// A hidden name in the same folder, because a rename between two file systems fails.
fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_contents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_bytes_atomically(&FileSystem, &path, b"old").unwrap();
        let failed = write_atomically(&FileSystem, &path, |writer| {
            writer.write_all(b"new")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
