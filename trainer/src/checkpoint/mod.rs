//! Checkpoints: everything a run needs to go on as if it had never stopped.
//!
//! One folder each, `<run>/checkpoints/step-00000040/`, which is a Hub folder
//! at the same time (`config.json`, `model.safetensors`, tokenizer), so that
//! `transformers` loads it as it is. Beside the weights lie the optimizer's
//! moments, the state of the training loop, the resolved configuration, and a
//! manifest with the length and hash of every file.
//!
//! - A folder named `step-…` is whole: it is built under another name, every
//!   file reaches the disk, and only then it is renamed.
//! - Whatever else a crash leaves behind is recognised by its name and swept
//!   away when the next writer opens or saves.
//! - Devices that share a model write their pieces one behind the other: a checkpoint does not tell how many there
//!   were, and any other number can go on from it.
//! - Nothing is read from a checkpoint before all of its files have been
//!   compared with the manifest.
//!
//! [`CheckpointWriter`] saves in the background, [`newest_intact`] finds where
//! to go on, [`Checkpoint`] reads. All of it is plain data; tensors of the
//! engine stay outside.

mod assembly;
mod disk;
mod error;
mod hashed_file;
mod layout;
mod manifest;
mod newest;
mod pieces;
mod reader;
mod run_lock;
mod shelf;
mod snapshot;
mod tensor_files;
mod writer;

pub use covey_optim::inner::Moments;
pub use disk::{Disk, DiskFile, LocalDisk};
pub use error::{CheckpointError, Damage};
pub use newest::{Found, Skipped, has_checkpoints, newest_intact};
pub use pieces::{Pieces, SavedMoments, SavedTensor};
pub use reader::Checkpoint;
pub use snapshot::{ExtraFile, NamedTensor, Snapshot, TrainingState, weights_digest};
pub use writer::{CheckpointOptions, CheckpointWriter};
