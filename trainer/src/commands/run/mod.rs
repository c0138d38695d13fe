//! Commands of a distributed run.

pub(crate) mod init;
pub(crate) mod join;
pub(crate) mod status;
pub(crate) mod validate;
pub(crate) mod verify;
