//! Who takes part in a round, and in which slot.

mod active_set;
mod slot;

pub(crate) use self::active_set::{ActiveSet, Attendance};
pub use self::slot::Slot;
