//! Checkpoints of a run: one folder per saved step, complete once it has its final name.
//!
//! A checkpoint contains weights, optimizer moments, error feedback, the state of the training
//! loop, the configuration and the tokenizer. The weights are a Hugging Face model, so other
//! programs can load the folder as it is. `manifest.json` lists every file with length and BLAKE3
//! digest.
//!
//! This folder never repairs a checkpoint, never deletes one that it cannot read, and knows neither
//! devices nor the configuration's keys. Start with [`Snapshot`], [`write::CheckpointWriter`] and
//! [`newest_intact`].
//!
//! ```
//! use covey::training::checkpoint::write::{CheckpointOptions, CheckpointWriter};
//! use covey::training::checkpoint::{NamedTensor, Snapshot, TrainingState, newest_intact};
//!
//! let run = tempfile::tempdir()?;
//! let norm = NamedTensor { name: "norm".into(), shape: vec![2], values: vec![1.0, 2.0] };
//! let state = TrainingState { step: 40, ..TrainingState::default() };
//! let snapshot = Snapshot { state, weights: vec![norm.into()], ..Snapshot::default() };
//! let mut writer = CheckpointWriter::open(run.path(), CheckpointOptions::default())?;
//! writer.save(snapshot)?;
//! writer.wait()?;
//! let found = newest_intact(run.path())?.expect("one was saved");
//! assert_eq!(found.checkpoint.weight("norm")?.values, [1.0, 2.0]);
//! # Ok::<(), covey::system::error::Failure>(())
//! ```

mod disk;
mod error;
mod hashed_file;
mod latest;
mod manifest;
mod names;
mod reader;
mod sharded_tensor;
mod snapshot;
mod tensor_files;
pub mod write;

pub use self::disk::{Disk, DiskFile, LocalDisk};
pub use self::error::{CheckpointError, Damage};
pub use self::latest::{Found, Skipped, has_checkpoints, newest_intact};
pub use self::reader::Checkpoint;
pub use self::sharded_tensor::{SavedMoments, SavedTensor, ShardedTensor};
pub use self::snapshot::{ExtraFile, NamedTensor, Snapshot, TrainingState, weights_digest};
