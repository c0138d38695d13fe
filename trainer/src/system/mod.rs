//! What this machine offers: devices, signals, the terminal, and the async runtime.

pub mod device;
pub mod error;
pub mod logging;
pub(crate) mod runtime;
pub mod signal;
pub mod terminal;
