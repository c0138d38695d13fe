//! The files of the served folder. A body is written to a staging area and renamed once it is
//! complete.
//!
//! Start with [`ObjectFiles`]. This folder has neither users nor permissions, and no key can reach
//! outside of the served folder or into the staging area: [`object_path`] is the only way from a
//! key to a path.

mod object_files;
pub(crate) mod staging;

pub(crate) use self::object_files::{ObjectFiles, WriteMode, object_path};
