//! The search for the checkpoint from which a run continues.

use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::names::{checkpoints_folder, folder_name, steps_in};
use super::reader::Checkpoint;

/// The newest intact checkpoint of a run, with the newer ones that were skipped.
#[derive(Debug)]
pub struct Found {
    /// The checkpoint, verified and open.
    pub checkpoint: Checkpoint,
    /// Newer checkpoints that cannot be read, newest first. Each deserves a warning.
    pub skipped: Vec<Skipped>,
}

/// A checkpoint that cannot be used.
#[derive(Debug)]
pub struct Skipped {
    /// Its folder.
    pub path: PathBuf,
    /// The error of opening it.
    pub reason: CheckpointError,
}

/// Returns true if the run in folder `run` has checkpoints, intact or not.
///
/// # Errors
/// [`CheckpointError::Io`] if the folder cannot be read.
pub fn has_checkpoints(run: &Path) -> Result<bool, CheckpointError> {
    Ok(!steps_in(&checkpoints_folder(run))?.is_empty())
}

/// The newest intact checkpoint of the run in folder `run`; `None` if the run has no checkpoints.
///
/// Only reads, so it is safe while the run is being trained. Each checkpoint that it tries is read
/// completely.
///
/// # Errors
/// [`CheckpointError::NoneIntact`] if there are checkpoints and all are damaged, so no caller
/// starts from scratch by accident.
pub fn newest_intact(run: &Path) -> Result<Option<Found>, CheckpointError> {
    let folder = checkpoints_folder(run);
    let mut skipped = Vec::new();
    for step in steps_in(&folder)?.into_iter().rev() {
        let path = folder.join(folder_name(step));
        // Every error counts as damage here, also a failing disk: an older checkpoint costs some
        // steps, and the newer one stays on disk.
        match Checkpoint::open(&path) {
            Ok(checkpoint) => return Ok(Some(Found { checkpoint, skipped })),
            Err(reason) => skipped.push(Skipped { path, reason }),
        }
    }
    none_intact(run, skipped)
}

fn none_intact(run: &Path, skipped: Vec<Skipped>) -> Result<Option<Found>, CheckpointError> {
    let (damaged, reasons): (Vec<_>, Vec<_>) =
        skipped.into_iter().map(|skipped| (skipped.path, skipped.reason)).unzip();
    match reasons.into_iter().next() {
        Some(newest) => Err(CheckpointError::NoneIntact {
            run: run.to_owned(),
            damaged,
            reason: Box::new(newest),
        }),
        None => Ok(None),
    }
}
