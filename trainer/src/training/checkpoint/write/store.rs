//! The folder that contains the checkpoints of a run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::folder::assemble;
use super::lock::RunLock;
use super::writer::CheckpointOptions;
use crate::training::checkpoint::disk::Disk;
use crate::training::checkpoint::error::CheckpointError;
use crate::training::checkpoint::names::{
    checkpoints_folder, discarded_name, folder_name, is_leftover, names_in, partial_name,
    set_aside_name, steps_in,
};
use crate::training::checkpoint::reader::Checkpoint;
use crate::training::checkpoint::snapshot::{Snapshot, saved_digest};

/// Adds checkpoints to the folder of a run and removes old ones.
///
/// - A folder with the name of a complete checkpoint is complete at every moment.
/// - A checkpoint is removed only if it is readable; otherwise it is set aside under another name.
pub(super) struct CheckpointStore {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    options: CheckpointOptions,
    /// Steps that this store has written or verified. Pruning does not read them again.
    readable: Mutex<BTreeSet<u64>>,
    _lock: RunLock,
}

/// The checkpoint that has the step of a snapshot before the snapshot is saved.
enum Existing {
    None,
    /// Intact, with the same weights.
    Same,
    /// Intact, with other weights.
    Different,
    Unreadable,
}

impl CheckpointStore {
    /// The store of `run`. Creates the folder and removes leftovers of crashes.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        run: &Path,
        options: CheckpointOptions,
    ) -> Result<Self, CheckpointError> {
        let folder = checkpoints_folder(run);
        disk.create_folder(&folder)
            .map_err(|source| CheckpointError::io("create", &folder, source))?;
        disk.sync_folder(run).map_err(|source| CheckpointError::io("write", run, source))?;
        // The lock comes before the sweep, which would remove what another process is writing.
        let lock = RunLock::take(run)?;
        let store = Self { disk, folder, options, readable: Mutex::default(), _lock: lock };
        store.sweep()?;
        Ok(store)
    }

    /// Writes `snapshot` as a checkpoint, then removes old checkpoints beyond the number to keep.
    pub(super) fn save(&self, snapshot: &Snapshot) -> Result<PathBuf, CheckpointError> {
        snapshot.check()?;
        self.sweep()?;
        let step = snapshot.state.step;
        let path = self.folder.join(folder_name(step));
        self.publish(&path, snapshot)?;
        self.readable().insert(step);
        self.prune(step)?;
        Ok(path)
    }

    /// Renames every checkpoint of a later step than `step`, and returns the new paths.
    ///
    /// None is removed. They are either unreadable, or could not be read when the run looked for
    /// its newest checkpoint: a failing mount must not cost the newest weights.
    pub(super) fn set_aside_after(&self, step: u64) -> Result<Vec<PathBuf>, CheckpointError> {
        let later = steps_in(&self.folder)?.into_iter().filter(|other| *other > step);
        later.map(|other| self.set_aside(other)).collect()
    }

    fn publish(&self, path: &Path, snapshot: &Snapshot) -> Result<(), CheckpointError> {
        let existing = existing(path, snapshot);
        // Replacing the only complete copy by an equal one would be a risk without a gain.
        if matches!(existing, Existing::Same) {
            return Ok(());
        }
        let step = snapshot.state.step;
        let partial = self.folder.join(partial_name(step));
        // The old checkpoint stays until the new one is complete, so a crash never loses both.
        let published = assemble(&*self.disk, &partial, snapshot, self.options.max_file_bytes)
            .and_then(|()| self.make_room(step, &existing))
            .and_then(|()| self.rename(&partial, path));
        if published.is_err() {
            // The error of the save matters more than an error of the removal. The next sweep tries
            // again.
            let _ = self.disk.remove_folder(&partial);
        }
        published
    }

    fn make_room(&self, step: u64, existing: &Existing) -> Result<(), CheckpointError> {
        match existing {
            Existing::None | Existing::Same => Ok(()),
            Existing::Different => self.discard(step),
            Existing::Unreadable => self.set_aside(step).map(drop),
        }
    }

    /// Removes the oldest checkpoints beyond the number to keep.
    fn prune(&self, saved: u64) -> Result<(), CheckpointError> {
        // Later steps than the saved one belong to another history of the run, and their number
        // must not displace the checkpoints of this one.
        let steps = steps_in(&self.folder)?.into_iter().rev().filter(|step| *step <= saved);
        steps.skip(self.options.keep.get()).try_for_each(|step| self.retire(step))
    }

    /// Removes a checkpoint if it is readable, and sets it aside otherwise.
    fn retire(&self, step: u64) -> Result<(), CheckpointError> {
        // Verification reads the whole checkpoint. This happens at most `keep` times after a start:
        // the steps that this process saves are known to be readable.
        let is_known = self.readable().contains(&step);
        if is_known || Checkpoint::open(&self.folder.join(folder_name(step))).is_ok() {
            self.discard(step)
        } else {
            self.set_aside(step).map(drop)
        }
    }

    /// Removes a checkpoint.
    fn discard(&self, step: u64) -> Result<(), CheckpointError> {
        let discarded = self.folder.join(discarded_name(step));
        // The rename comes first: an interrupted removal then leaves a leftover and not a damaged
        // checkpoint.
        self.rename(&self.folder.join(folder_name(step)), &discarded)?;
        self.readable().remove(&step);
        self.remove(&discarded)
    }

    /// Renames a checkpoint to hide it from later starts, and returns its new path.
    fn set_aside(&self, step: u64) -> Result<PathBuf, CheckpointError> {
        let names = names_in(&self.folder)?;
        let mut free = (1..).map(|number| set_aside_name(step, number));
        // A rename onto an existing folder would fail, or replace it if it is empty.
        let name = free.find(|name| !names.contains(name)).expect("an endless list of names");
        let path = self.folder.join(name);
        self.rename(&self.folder.join(folder_name(step)), &path)?;
        self.readable().remove(&step);
        Ok(path)
    }

    fn sweep(&self) -> Result<(), CheckpointError> {
        let names = names_in(&self.folder)?;
        names
            .iter()
            .filter(|name| is_leftover(name))
            .try_for_each(|name| self.remove(&self.folder.join(name)))
    }

    fn readable(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // A set of numbers is valid after a panic in any of its operations.
        self.readable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), CheckpointError> {
        self.disk.rename(from, to).map_err(|source| CheckpointError::io("rename", from, source))?;
        self.disk
            .sync_folder(&self.folder)
            .map_err(|source| CheckpointError::io("write", &self.folder, source))
    }

    fn remove(&self, folder: &Path) -> Result<(), CheckpointError> {
        self.disk
            .remove_folder(folder)
            .map_err(|source| CheckpointError::io("remove", folder, source))
    }
}

/// Compares the checkpoint at `path` with `snapshot`. Reads all of it if there is one.
fn existing(path: &Path, snapshot: &Snapshot) -> Existing {
    // A path that cannot be examined counts as existing: the rename then reports the error.
    if !path.try_exists().unwrap_or(true) {
        return Existing::None;
    }
    match Checkpoint::open(path) {
        Err(_) => Existing::Unreadable,
        Ok(checkpoint) => {
            let is_same = checkpoint.state().step == snapshot.state.step
                && checkpoint.weights_digest() == saved_digest(&snapshot.weights).to_string();
            if is_same { Existing::Same } else { Existing::Different }
        }
    }
}
