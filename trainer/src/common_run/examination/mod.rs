//! What a validator finds out about deltas with the network at hand.
//!
//! | question | file |
//! |---|---|
//! | Which deltas were read, and what follows from them without the network? | `bench` |
//! | Which windows are deltas tried on? | `questions` |
//! | How are weights tried that a delta would lead to? | `trial` |

mod bench;
mod questions;
mod trial;

pub use bench::Examination;
pub use questions::{ExaminationError, Questions};
