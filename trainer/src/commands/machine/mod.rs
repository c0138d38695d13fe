//! Commands that describe this machine and its configuration.

pub(crate) mod config;
pub(crate) mod devices;
pub(crate) mod plan;
