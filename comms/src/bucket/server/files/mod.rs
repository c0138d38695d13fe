//! The files under the served folder, written to a staging area and renamed.

mod object_files;
pub(crate) mod staging;

pub(crate) use self::object_files::{Mode, ObjectFiles, place};
