//! Text for users: output, progress bars, and numbers.

pub(crate) mod bar;
mod numbers;
pub(crate) mod output;

pub use self::bar::INTERVAL;
pub(crate) use self::bar::Surface;
pub(crate) use self::numbers::{bytes, duration, grouped, percent, short, span};
