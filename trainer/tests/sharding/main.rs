//! One network on one device or on several, with or without recomputation: the same training.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod deltas;
mod fixtures;
mod gradients;
mod losses;
mod rejections;
