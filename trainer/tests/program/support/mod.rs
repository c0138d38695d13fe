//! Runs the program in a folder of its own, with text, data and models made once.

pub(crate) mod fixtures;
pub(crate) mod sandbox;
pub(crate) mod trained;
