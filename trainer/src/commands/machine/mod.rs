//! Commands that describe this machine and what it can do.

pub(crate) mod config;
pub(crate) mod devices;
pub(crate) mod plan;
