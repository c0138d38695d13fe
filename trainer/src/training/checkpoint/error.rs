//! Errors of writing, finding and reading checkpoints.

use crate::system::error::Hint;
use std::io;
use std::path::{Path, PathBuf};

/// A checkpoint that could not be written, found or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file system reported an error.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The failed operation: `write`, `rename` and so on.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },

    /// The disk or the quota of the user is full.
    #[error("no space left on device while writing {}", path.display())]
    NoSpace {
        /// The file that did not fit. It has been removed again.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },

    /// Another process is saving into the same run.
    #[error("{} is in use by another process", run.display())]
    InUse {
        /// The folder of the run.
        run: PathBuf,
    },

    /// The folder has no manifest.
    #[error("{} is not a checkpoint: it has no manifest.json", path.display())]
    NotACheckpoint {
        /// The folder.
        path: PathBuf,
    },

    /// The folder differs from its manifest.
    #[error("checkpoint {} is damaged: {damage}", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// The first difference found.
        damage: Damage,
    },

    /// The checkpoint has another format version.
    #[error(
        "checkpoint {} has format version {got}, this program reads {expected}",
        path.display()
    )]
    UnknownVersion {
        /// The folder.
        path: PathBuf,
        /// The version in its manifest.
        got: u64,
        /// The only version that this program reads.
        expected: u64,
    },

    /// The run has checkpoints, but none is intact.
    #[error(
        "none of the {} checkpoints in {} is intact; {} is the newest: {reason}",
        damaged.len(),
        run.display(),
        name_of(damaged)
    )]
    NoneIntact {
        /// The folder of the run.
        run: PathBuf,
        /// All checkpoints, newest first.
        damaged: Vec<PathBuf>,
        /// The error of the newest.
        reason: Box<CheckpointError>,
    },

    /// The checkpoint belongs to another model.
    #[error("checkpoint {} has no tensor `{name}`", path.display())]
    NoSuchTensor {
        /// The folder.
        path: PathBuf,
        /// The requested tensor.
        name: String,
    },

    /// A snapshot breaks the invariants of its type.
    #[error("cannot save a checkpoint of step {step}: {reason}")]
    InvalidSnapshot {
        /// The step of the snapshot.
        step: u64,
        /// The broken invariant.
        reason: String,
    },

    /// The thread that writes checkpoints panicked or could not be started.
    #[error("the checkpoint writer stopped unexpectedly")]
    WriterStopped,
}

impl Hint for CheckpointError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io { source, .. } => io_hint(source.kind())?,
            Self::NoSpace { .. } => {
                "free some space, keep fewer checkpoints (`checkpoint.keep`) or choose another \
                 disk with `--output`; then continue with `--resume`"
            }
            Self::InUse { .. } => {
                "wait for it to end, stop it, or choose another folder with `--output`"
            }
            Self::NotACheckpoint { .. } => {
                "name a folder like `runs/NAME/checkpoints/step-00000040`"
            }
            Self::Damaged { .. } => {
                "use an older checkpoint; `--resume` continues from the newest intact one"
            }
            Self::UnknownVersion { .. } => "use the version of covey that wrote it",
            // Not a restart in the same folder: the checkpoints there may still be repairable.
            Self::NoneIntact { .. } => {
                "restore the folder from a backup, or start a new run in another folder"
            }
            Self::NoSuchTensor { .. } => "use the model configuration of the checkpoint",
            // Both are errors of this program, which users cannot resolve.
            Self::InvalidSnapshot { .. } | Self::WriterStopped => return None,
        };
        Some(hint.to_owned())
    }
}

/// A difference between a checkpoint and its manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A file is missing.
    #[error("{file} is missing")]
    Missing {
        /// Name in the folder.
        file: String,
    },
    /// A file is too short or too long.
    #[error("{file} has {got} bytes, expected {expected}")]
    Length {
        /// Name in the folder.
        file: String,
        /// Bytes in the manifest.
        expected: u64,
        /// Bytes on disk.
        got: u64,
    },
    /// A file has the right length but different contents.
    #[error("{file} does not match its digest (BLAKE3 {got}, expected {expected})")]
    Contents {
        /// Name in the folder.
        file: String,
        /// Digest in the manifest, hexadecimal.
        expected: String,
        /// Digest of the file on disk, hexadecimal.
        got: String,
    },
    /// A file cannot be read or parsed.
    #[error("{file} cannot be read: {reason}")]
    Unreadable {
        /// Name in the folder.
        file: String,
        /// The error of the parser or file system.
        reason: String,
    },
}

impl CheckpointError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            // A full disk has its own variant: it is the one failure that users meet often, and the
            // only one that they can solve without choosing another folder.
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::NoSpace { path, source },
            _ => Self::Io { action, path, source },
        }
    }

    pub(super) fn damaged(path: &Path, damage: Damage) -> Self {
        Self::Damaged { path: path.to_owned(), damage }
    }
}

fn io_hint(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("choose a folder that you may write to with `--output`")
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            Some("choose another folder with `--output`; a file has the name of a needed folder")
        }
        _ => None,
    }
}

fn name_of(paths: &[PathBuf]) -> String {
    paths
        .first()
        .and_then(|path| path.file_name())
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
