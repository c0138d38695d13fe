//! The bytes of a delta: entropy-coded positions and two-bit values.

mod bits;
mod byte_reader;
mod code_model;
mod codec;
mod error;
mod gap_model;
mod rans;
mod record;
mod segment;

pub use self::codec::{Codec, Statistics};
pub use self::error::DecodeError;
