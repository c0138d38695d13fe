//! Writes the files of one checkpoint into a folder.

use std::path::Path;

use crate::training::checkpoint::disk::Disk;
use crate::training::checkpoint::error::CheckpointError;
use crate::training::checkpoint::hashed_file::HashedFile;
use crate::training::checkpoint::manifest::{CheckpointManifest, FileEntry};
use crate::training::checkpoint::names::{
    ERROR_FEEDBACK, MANIFEST, MODEL_CONFIG, OPTIMIZER, RUN_CONFIG, STATE, WEIGHTS,
};
use crate::training::checkpoint::sharded_tensor::ShardedTensor;
use crate::training::checkpoint::snapshot::{Snapshot, saved_digest};
use crate::training::checkpoint::tensor_files::{TensorSource, write_tensors};

/// Writes `snapshot` to the new folder `folder` and syncs it to disk.
///
/// Values go from the snapshot to the files in small chunks, so no copy of a tensor is made.
pub(super) fn assemble(
    disk: &dyn Disk,
    folder: &Path,
    snapshot: &Snapshot,
    max_file_bytes: u64,
) -> Result<(), CheckpointError> {
    disk.create_folder(folder).map_err(|source| CheckpointError::io("create", folder, source))?;
    let mut files = write_tensors(disk, folder, WEIGHTS, &weights(snapshot), max_file_bytes)?;
    files.extend(write_tensors(disk, folder, OPTIMIZER, &moments(snapshot), max_file_bytes)?);
    // No file instead of an empty one: readers take a missing file for a run on one machine.
    if !snapshot.error_feedback.is_empty() {
        files.extend(write_tensors(
            disk,
            folder,
            ERROR_FEEDBACK,
            &error_feedback(snapshot),
            max_file_bytes,
        )?);
    }
    files.extend(write_texts(disk, folder, snapshot)?);
    // Last, because it contains the digests of all other files.
    let manifest =
        CheckpointManifest::new(snapshot.state.step, saved_digest(&snapshot.weights), files);
    HashedFile::write_whole(disk, folder, MANIFEST, manifest.to_json().as_bytes())?;
    // Files are synced one by one; this makes their names durable as well.
    disk.sync_folder(folder).map_err(|source| CheckpointError::io("write", folder, source))
}

fn weights(snapshot: &Snapshot) -> Vec<TensorSource<'_>> {
    let weights = snapshot.weights.iter();
    weights
        .map(|tensor| {
            TensorSource::new(tensor.name.as_str(), &tensor.shape, pieces(&tensor.values))
        })
        .collect()
}

/// The error feedback under the names of the weights.
fn error_feedback(snapshot: &Snapshot) -> Vec<TensorSource<'_>> {
    let pairs = snapshot.weights.iter().zip(&snapshot.error_feedback);
    pairs
        .map(|(weight, values)| {
            TensorSource::new(weight.name.as_str(), &weight.shape, vec![values.as_slice()])
        })
        .collect()
}

/// The moments `m.<name>` and `v.<name>` of every weight.
fn moments(snapshot: &Snapshot) -> Vec<TensorSource<'_>> {
    let pairs = snapshot.weights.iter().zip(&snapshot.moments);
    pairs
        .flat_map(|(weight, moments)| {
            [("m", &moments.first), ("v", &moments.second)].map(|(kind, values)| {
                TensorSource::new(format!("{kind}.{}", weight.name), &weight.shape, pieces(values))
            })
        })
        .collect()
}

fn pieces(values: &ShardedTensor) -> Vec<&[f32]> {
    values.iter().collect()
}

/// Writes the files that are not tensors.
fn write_texts(
    disk: &dyn Disk,
    folder: &Path,
    snapshot: &Snapshot,
) -> Result<Vec<FileEntry>, CheckpointError> {
    let state =
        serde_json::to_string_pretty(&snapshot.state).expect("plain data always has a JSON form");
    let texts = [
        (MODEL_CONFIG, snapshot.model_config.as_bytes()),
        (STATE, state.as_bytes()),
        (RUN_CONFIG, snapshot.run_config.as_bytes()),
    ];
    let extras =
        snapshot.extra_files.iter().map(|file| (file.name.as_str(), file.bytes.as_slice()));
    texts
        .into_iter()
        .chain(extras)
        .map(|(name, bytes)| HashedFile::write_whole(disk, folder, name, bytes))
        .collect()
}
