//! Putting the files of one checkpoint into a folder.

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

/// Writes everything in `snapshot` to the new folder `folder`, the manifest last.
///
/// All of it has reached the disk when this returns. Nothing is copied on the
/// way: values go from the snapshot to the file in chunks.
pub(super) fn assemble(
    disk: &dyn Disk,
    folder: &Path,
    snapshot: &Snapshot,
    max_file_bytes: u64,
) -> Result<(), CheckpointError> {
    disk.create_folder(folder).map_err(|source| CheckpointError::io("create", folder, source))?;
    let mut files = write_tensors(disk, folder, WEIGHTS, &weights(snapshot), max_file_bytes)?;
    files.extend(write_tensors(disk, folder, OPTIMIZER, &moments(snapshot), max_file_bytes)?);
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
    let manifest =
        CheckpointManifest::new(snapshot.state.step, saved_digest(&snapshot.weights), files);
    HashedFile::write_whole(disk, folder, MANIFEST, manifest.to_json().as_bytes())?;
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

/// Under the names of the weights.
fn error_feedback(snapshot: &Snapshot) -> Vec<TensorSource<'_>> {
    let pairs = snapshot.weights.iter().zip(&snapshot.error_feedback);
    pairs
        .map(|(weight, values)| {
            TensorSource::new(weight.name.as_str(), &weight.shape, vec![values.as_slice()])
        })
        .collect()
}

/// `m.<name>` and `v.<name>` of every weight.
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
