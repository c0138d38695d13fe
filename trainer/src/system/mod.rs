//! The services of this machine: devices, signals, the terminal, the log, and the async runtime.
//!
//! Nothing here knows models, data or runs.

pub mod device;
pub mod error;
mod hints;
pub mod logging;
pub(crate) mod runtime;
pub mod signal;
pub mod terminal;
