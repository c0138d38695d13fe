//! Writes checkpoints in the background and decides which ones are kept.
//!
//! A checkpoint is written under a temporary name, synced, and renamed, so a crash at any moment
//! leaves the earlier checkpoints intact. Old checkpoints are removed once a newer one is complete.
//! This folder never removes a checkpoint that it cannot read: such a folder is renamed to
//! `step-00000040.set-aside-1`. Start with [`CheckpointWriter`].
//!
//! ```
//! use std::num::NonZeroUsize;
//!
//! use covey::training::checkpoint::write::{CheckpointOptions, CheckpointWriter};
//! use covey::training::checkpoint::{Snapshot, TrainingState};
//!
//! let run = tempfile::tempdir()?;
//! let options = CheckpointOptions { keep: NonZeroUsize::MIN, ..CheckpointOptions::default() };
//! let mut writer = CheckpointWriter::open(run.path(), options)?;
//! for step in [10, 20] {
//!     let state = TrainingState { step, ..TrainingState::default() };
//!     writer.save(Snapshot { state, ..Snapshot::default() })?;
//! }
//! writer.wait()?;
//! assert!(!run.path().join("checkpoints/step-00000010").exists());
//! assert!(run.path().join("checkpoints/step-00000020").exists());
//! # Ok::<(), covey::system::error::Failure>(())
//! ```

mod folder;
mod lock;
mod store;
mod writer;

pub use self::writer::{CheckpointOptions, CheckpointWriter};
