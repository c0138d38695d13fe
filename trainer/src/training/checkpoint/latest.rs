//! Where to go on after a stop.

use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::names::{checkpoints_folder, folder_name, steps_in};
use super::reader::Checkpoint;

/// The newest checkpoint that can be trusted, and what was passed over for it.
#[derive(Debug)]
pub struct Found {
    /// The checkpoint, verified and open.
    pub checkpoint: Checkpoint,
    /// Newer ones that are damaged, newest first; worth a warning each.
    pub skipped: Vec<Skipped>,
}

/// A checkpoint that cannot be used.
#[derive(Debug)]
pub struct Skipped {
    /// Its folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: CheckpointError,
}

/// Whether the run in folder `run` has checkpoints, intact or not.
///
/// # Errors
/// [`CheckpointError::Io`] if the folder cannot be read.
pub fn has_checkpoints(run: &Path) -> Result<bool, CheckpointError> {
    Ok(!steps_in(&checkpoints_folder(run))?.is_empty())
}

/// The newest intact checkpoint of the run in folder `run`; `None` if it has no checkpoints at all.
///
/// Reads only, so it may look at a run that is being trained.
///
/// # Errors
/// [`CheckpointError::NoneIntact`] if there are checkpoints and all are damaged:
/// starting again from nothing has to be somebody's decision.
pub fn newest_intact(run: &Path) -> Result<Option<Found>, CheckpointError> {
    let folder = checkpoints_folder(run);
    let mut skipped = Vec::new();
    for step in steps_in(&folder)?.into_iter().rev() {
        let path = folder.join(folder_name(step));
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
