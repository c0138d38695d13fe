//! Who takes part in a round, and in which slot.

mod active_set;
mod delta_location;
mod slot;

pub(crate) use self::active_set::{ActiveSet, Attendance};
pub(crate) use self::delta_location::DeltaLocation;
pub use self::slot::Slot;
