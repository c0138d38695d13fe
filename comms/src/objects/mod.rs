//! The objects of a run's bucket as bytes: keys, formats, and the checks on reading.
//!
//! Nothing here reads from a store or waits. Start at [`Key`], the table of all objects.
//!
//! ```
//! use covey_comms::objects::Key;
//! use covey_comms::primitives::Round;
//!
//! let key = Key::Manifest(Round(7));
//! assert_eq!(key.to_string(), "rounds/0000000007/manifest");
//! assert_eq!("rounds/0000000007/manifest".parse(), Ok(key));
//! // A key has one notation: a second one would be a second object.
//! assert!("rounds/7/manifest".parse::<Key>().is_err());
//! ```

mod checkpoint;
mod commitment;
pub mod envelope;
mod exclusion;
mod key;
mod lineage;
mod manifest;
mod outer_settings;
mod prefix;

pub use self::checkpoint::{CheckpointDescription, CheckpointFormatError, CheckpointPart};
pub(crate) use self::commitment::Commitment;
pub use self::exclusion::{Exclusion, UnknownReason};
pub use self::key::{Key, UnknownKey};
pub use self::lineage::Lineage;
pub use self::manifest::{DeltaRef, MAX_PEERS, Manifest, ManifestBasis, ManifestError};
pub use self::outer_settings::{Clipping, Divisor, OuterSettings};
pub use self::prefix::Prefix;
