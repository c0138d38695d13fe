//! A disk that fails at a chosen moment.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use covey::training::checkpoint::{Disk, DiskFile, LocalDisk};

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Power is lost: nothing works any more, and what was not synced is half gone.
    Crash,
    /// No more bytes fit; names can still be changed and removed.
    Full,
    /// This very operation fails, later ones work.
    Glitch,
}

/// Bytes that one write takes at most, so that there are many moments to fail at.
const PIECE: usize = 60;

/// The local disk until operation number `fails_at`; writing a piece, creating,
/// syncing, renaming and removing are one operation each.
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

    /// A disk that never fails, and is quick because nothing has to survive a power failure.
    pub(crate) fn sound() -> Self {
        Self::new(Fault::Glitch, usize::MAX)
    }

    /// Whether the moment to fail has come.
    pub(crate) fn has_failed(&self) -> bool {
        self.inner().failed
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Inner {
    /// Counts an operation, and fails it if its time has come.
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
            Fault::Glitch if number == self.fails_at => {
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
        // Names reach the disk in their own time: what was not synced is lost under the new name too.
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

    /// Stops half-way when it fails.
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let was_alive = !self.has_failed();
        if let Err(error) = self.inner().operate(false) {
            if was_alive {
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
        let piece = &bytes[..bytes.len().min(PIECE)];
        self.disk.inner().operate(true)?;
        self.file.write(piece)
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
