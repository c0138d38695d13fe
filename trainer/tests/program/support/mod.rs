//! Runs the program in temporary folders, with fixtures that are created once.

pub(crate) mod fixtures;
pub(crate) mod sandbox;
pub(crate) mod trained;
