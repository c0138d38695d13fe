//! The objects of a run's bucket as bytes: their keys, their formats, and the checks on reading.

mod checkpoint;
mod commitment;
pub mod envelope;
mod exclusion;
mod key;
mod lineage;
mod manifest;
mod outer_settings;

pub use self::checkpoint::{CheckpointDescription, CheckpointFormatError, CheckpointPart};
pub(crate) use self::commitment::Commitment;
pub use self::exclusion::{Exclusion, UnknownReason};
pub use self::key::{Key, Prefix, UnknownKey};
pub use self::lineage::Lineage;
pub use self::manifest::{DeltaRef, MAX_PEERS, Manifest, ManifestBasis, ManifestError};
pub use self::outer_settings::{Clip, MeanOver, OuterSettings};
