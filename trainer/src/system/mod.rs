//! What this machine offers: devices, signals, and the terminal.

pub mod device;
pub mod signal;
pub(crate) mod terminal;
