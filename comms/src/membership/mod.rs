//! The peers of a round: who has a slot, who is expected, who joins, and who loses the slot.
//!
//! The folder draws conclusions from manifests and listings, and never reads a bucket. Start with
//! [`Slot`], which every reader computes from the manifest of the previous round.
//!
//! ```rust
//! use covey_comms::membership::Slot;
//!
//! // The wire format keeps its first names: slot 2 of 5.
//! let slot = Slot { index: 2, num_slots: 5 };
//! assert_eq!(serde_json::to_string(&slot).unwrap(), r#"{"index":2,"of":5}"#);
//! ```

mod active_set;
mod delta_location;
mod slot;

pub(crate) use self::active_set::{ActiveSet, Attendance};
pub(crate) use self::delta_location::DeltaLocation;
pub use self::slot::Slot;
