//! The bytes of one delta.
//!
//! | question | file |
//! |---|---|
//! | In which order do the bytes stand, and what is checked? | [`payload`] |
//! | What is said of a tensor besides its entries? | `record` |
//! | How does a stretch of entries become words and bits? | `segment` |
//! | How likely is which gap between two positions? | `gap_model` |
//! | How likely is which 2-bit code? | `code_model` |
//! | How do likely symbols become few bits? | `rans`, `bits` |
//! | Why was a payload refused? | [`error`] |
//!
//! Byte by byte it is described in `docs/protocol.md`. There is one encoding of every delta: whatever decodes, encodes
//! to the same bytes again.

mod bits;
mod code_model;
mod cursor;
pub mod error;
mod gap_model;
pub mod payload;
mod rans;
mod record;
mod segment;

pub use error::DecodeError;
pub use payload::{Codec, Statistics};
