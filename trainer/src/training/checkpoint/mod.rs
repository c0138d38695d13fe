//! Checkpoints: a folder with a final name is complete.

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
