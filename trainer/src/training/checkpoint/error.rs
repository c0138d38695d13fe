//! What can go wrong with a checkpoint.

use std::io;
use std::path::{Path, PathBuf};

/// Why a checkpoint could not be written, found or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `write`, `rename`, …
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Its own words.
        source: io::Error,
    },

    /// The disk is full, or the user's share of it.
    #[error("no space left on device while writing {}", path.display())]
    NoSpace {
        /// The file that did not fit; it has been removed again.
        path: PathBuf,
        /// The file system's own words.
        source: io::Error,
    },

    /// Another process is saving into the same run.
    #[error("{} is in use by another process", run.display())]
    InUse {
        /// The run's folder.
        run: PathBuf,
    },

    /// The folder is no checkpoint: it has no manifest.
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

    /// Written by a version of this program that keeps checkpoints differently.
    #[error("checkpoint {} has format version {got}, this program reads {expected}", path.display())]
    UnknownVersion {
        /// The folder.
        path: PathBuf,
        /// The version in its manifest.
        got: u64,
        /// The only version known.
        expected: u64,
    },

    /// There are checkpoints, but not one of them is whole.
    #[error("none of the {} checkpoints in {} is intact; {} is the newest: {reason}", damaged.len(), run.display(), name_of(damaged))]
    NoneIntact {
        /// The run's folder.
        run: PathBuf,
        /// Every checkpoint, newest first.
        damaged: Vec<PathBuf>,
        /// What is wrong with the newest.
        reason: Box<CheckpointError>,
    },

    /// The checkpoint is whole, but of another network.
    #[error("checkpoint {} has no tensor `{name}`", path.display())]
    NoSuchTensor {
        /// The folder.
        path: PathBuf,
        /// The tensor asked for.
        name: String,
    },

    /// What was handed over to be saved contradicts itself.
    #[error("cannot save a checkpoint of step {step}: {reason}")]
    InvalidSnapshot {
        /// The step of the snapshot.
        step: u64,
        /// The contradiction.
        reason: String,
    },

    /// The thread that writes checkpoints is gone.
    #[error("the checkpoint writer stopped unexpectedly")]
    WriterStopped,
}

/// How a checkpoint differs from its manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A file is not there.
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
    /// A file has the right length and other contents.
    #[error("{file} has other contents than were written (BLAKE3 {got}, expected {expected})")]
    Contents {
        /// Name in the folder.
        file: String,
        /// Hash in the manifest.
        expected: String,
        /// Hash on disk.
        got: String,
    },
    /// A file cannot be understood.
    #[error("{file} cannot be read: {reason}")]
    Unreadable {
        /// Name in the folder.
        file: String,
        /// Why.
        reason: String,
    },
}

impl CheckpointError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::NoSpace { path, source },
            _ => Self::Io { action, path, source },
        }
    }

    pub(super) fn damaged(path: &Path, damage: Damage) -> Self {
        Self::Damaged { path: path.to_owned(), damage }
    }

    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "choose a folder that you may write to with `--output`"
                }
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                    "a file stands where a folder is needed; choose another folder with `--output`"
                }
                _ => return None,
            },
            Self::NoSpace { .. } => {
                "free some space, keep fewer checkpoints (`checkpoint.keep`) or choose another disk with `--output`; \
                 then continue with `--resume`"
            }
            Self::InUse { .. } => {
                "wait for it to end, stop it, or choose another folder with `--output`"
            }
            Self::NotACheckpoint { .. } => {
                "name a folder like `runs/NAME/checkpoints/step-00000040`"
            }
            Self::Damaged { .. } => {
                "remove this folder and use an older checkpoint; `--resume` finds the newest intact one"
            }
            Self::UnknownVersion { .. } => "use the version of covey that wrote it",
            Self::NoneIntact { .. } => {
                "restore the folder from a copy, or begin a new run in another folder"
            }
            Self::NoSuchTensor { .. } => {
                "the model in the configuration differs from the one in the checkpoint"
            }
            Self::InvalidSnapshot { .. } | Self::WriterStopped => return None,
        };
        Some(hint.to_owned())
    }
}

fn name_of(paths: &[PathBuf]) -> String {
    paths
        .first()
        .and_then(|path| path.file_name())
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
