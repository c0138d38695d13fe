//! Writing checkpoints in the background, and which of them are kept.

mod folder;
mod lock;
mod store;
mod writer;

pub use self::writer::{CheckpointOptions, CheckpointWriter};
