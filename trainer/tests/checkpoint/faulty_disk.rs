//! A disk that fails at a chosen operation.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use covey::training::checkpoint::{Disk, DiskFile, LocalDisk};

/// The kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Power failure: all later operations fail, and half of each unsynced file is lost.
    Crash,
    /// The disk is full: writes fail, renames and removals succeed.
    Full,
    /// One operation fails, later ones succeed.
    Once,
}

/// Most bytes per write. A small number gives many operations that can fail.
const MAX_WRITE: usize = 60;

/// The local disk up to operation number `fails_at`. Each write, creation, sync, rename and removal
/// is one operation.
#[derive(Clone)]
pub(crate) struct FaultyDisk(Arc<Mutex<Inner>>);

struct Inner {
    fault: Fault,
    fails_at: usize,
    operations: usize,
    failed: bool,
    unsynced: BTreeSet<PathBuf>,
}

impl FaultyDisk {
    pub(crate) fn new(fault: Fault, fails_at: usize) -> Self {
        let inner =
            Inner { fault, fails_at, operations: 0, failed: false, unsynced: BTreeSet::new() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// A disk that never fails. It is fast because it does not sync.
    pub(crate) fn reliable() -> Self {
        Self::new(Fault::Once, usize::MAX)
    }

    /// Returns true once an operation has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.inner().failed
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Inner {
    /// Counts an operation, and returns the error if it fails.
    fn operate(&mut self, adds_bytes: bool) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        match self.fault {
            Fault::Crash if number >= self.fails_at => {
                if !self.failed {
                    self.unsynced.iter().for_each(|path| lose_half(path));
                }
                self.failed = true;
                Err(io::Error::other("power lost"))
            }
            Fault::Full if number >= self.fails_at && adds_bytes => {
                self.failed = true;
                Err(io::Error::new(
                    io::ErrorKind::StorageFull,
                    "No space left on device (os error 28)",
                ))
            }
            Fault::Once if number == self.fails_at => {
                self.failed = true;
                Err(io::Error::other("input/output error"))
            }
            _ => Ok(()),
        }
    }
}

fn lose_half(path: &Path) {
    if let Ok(file) = OpenOptions::new().write(true).open(path) {
        let length = file.metadata().unwrap().len();
        file.set_len(length / 2).unwrap();
    }
}

impl Disk for FaultyDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.inner().operate(true)?;
        LocalDisk.create_folder(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.inner().operate(true)?;
        self.inner().unsynced.insert(path.to_owned());
        Ok(Box::new(FaultyFile {
            disk: self.clone(),
            path: path.to_owned(),
            file: File::create(path)?,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        // A rename does not sync: an unsynced file stays unsynced under its new name.
        let mut inner = self.inner();
        inner.operate(false)?;
        let moved: Vec<_> = inner
            .unsynced
            .iter()
            .filter_map(|path| Some(to.join(path.strip_prefix(from).ok()?)))
            .collect();
        inner.unsynced.extend(moved);
        LocalDisk.rename(from, to)
    }

    /// Removes one file before it fails, as an interrupted removal does.
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let is_first = !self.has_failed();
        if let Err(error) = self.inner().operate(false) {
            if is_first {
                let _ = fs::remove_file(path.join("config.json"));
            }
            return Err(error);
        }
        LocalDisk.remove_folder(path)
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        self.inner().operate(false)
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    file: File,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let accepted = &bytes[..bytes.len().min(MAX_WRITE)];
        self.disk.inner().operate(true)?;
        self.file.write(accepted)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.inner().operate(true)?;
        self.disk.inner().unsynced.remove(&self.path);
        Ok(())
    }
}
