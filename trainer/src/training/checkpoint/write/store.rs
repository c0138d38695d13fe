//! The folder of a run that holds its checkpoints.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::assemble;
use super::lock::RunLock;
use super::writer::CheckpointOptions;
use crate::training::checkpoint::disk::Disk;
use crate::training::checkpoint::error::CheckpointError;
use crate::training::checkpoint::names::{
    checkpoints_folder, discarded_name, folder_name, is_leftover, names_in, partial_name, steps_in,
};
use crate::training::checkpoint::reader::Checkpoint;
use crate::training::checkpoint::snapshot::{Snapshot, saved_digest};

/// Puts checkpoints up and takes old ones down, never leaving a half one under a whole one's name.
pub(super) struct CheckpointStore {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    options: CheckpointOptions,
    _lock: RunLock,
}

impl CheckpointStore {
    /// The shelf of `run`, made if need be, and free of leftovers.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        run: &Path,
        options: CheckpointOptions,
    ) -> Result<Self, CheckpointError> {
        let folder = checkpoints_folder(run);
        disk.create_folder(&folder)
            .map_err(|source| CheckpointError::io("create", &folder, source))?;
        disk.sync_folder(run).map_err(|source| CheckpointError::io("write", run, source))?;
        let store = Self { disk, folder, options, _lock: RunLock::take(run)? };
        store.sweep()?;
        Ok(store)
    }

    /// Makes `snapshot` the newest checkpoint, then removes those beyond the number to keep.
    pub(super) fn save(&self, snapshot: &Snapshot) -> Result<PathBuf, CheckpointError> {
        snapshot.check()?;
        self.sweep()?;
        let step = snapshot.state.step;
        let place = self.folder.join(folder_name(step));
        if !holds(&place, snapshot) {
            self.put_up(step, &place, snapshot)?;
        }
        self.keep_newest(step)?;
        Ok(place)
    }

    /// Removes every checkpoint of a later step than `step`.
    pub(super) fn discard_after(&self, step: u64) -> Result<(), CheckpointError> {
        let later = steps_in(&self.folder)?.into_iter().filter(|other| *other > step);
        later.into_iter().try_for_each(|other| self.discard(other))
    }

    fn put_up(&self, step: u64, place: &Path, snapshot: &Snapshot) -> Result<(), CheckpointError> {
        let partial = self.folder.join(partial_name(step));
        let published = assemble(&*self.disk, &partial, snapshot, self.options.max_file_bytes)
            .and_then(|()| if place.exists() { self.discard(step) } else { Ok(()) })
            .and_then(|()| self.rename(&partial, place));
        if published.is_err() {
            // What failed matters more than whether its remains could be removed; the next sweep tries again.
            let _ = self.disk.remove_folder(&partial);
        }
        published
    }

    fn keep_newest(&self, saved: u64) -> Result<(), CheckpointError> {
        // Later steps than the one just saved belong to nobody here: damaged, or of a run that was wound back.
        let steps = steps_in(&self.folder)?.into_iter().rev().filter(|step| *step <= saved);
        steps.skip(self.options.keep.get()).try_for_each(|step| self.discard(step))
    }

    /// Renames first, so that a removal that is cut short is a leftover and not a damaged checkpoint.
    fn discard(&self, step: u64) -> Result<(), CheckpointError> {
        let discarded = self.folder.join(discarded_name(step));
        self.rename(&self.folder.join(folder_name(step)), &discarded)?;
        self.remove(&discarded)
    }

    fn sweep(&self) -> Result<(), CheckpointError> {
        let names = names_in(&self.folder)?;
        names
            .iter()
            .filter(|name| is_leftover(name))
            .try_for_each(|name| self.remove(&self.folder.join(name)))
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

/// Whether the very weights of `snapshot` are already there, intact, from the same step.
///
/// Then the only whole copy is never put at risk by being replaced with itself.
fn holds(place: &Path, snapshot: &Snapshot) -> bool {
    place.exists()
        && Checkpoint::open(place).is_ok_and(|checkpoint| {
            checkpoint.state().step == snapshot.state.step
                && checkpoint.weights_digest() == saved_digest(&snapshot.weights).to_string()
        })
}
