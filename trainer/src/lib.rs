//! The program `covey`, as a library so that its parts can be tested.

pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod config;
pub mod diagnostics;
pub mod interrupt;
pub mod metrics;
pub mod progress;
