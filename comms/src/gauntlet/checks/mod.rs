//! Checks on deltas before any loss is measured: near-copies, sketches, consistency with the assigned data.

mod consistency;
mod similarity;
mod sketch;

pub(crate) use self::similarity::Similarity;
pub use self::similarity::{SimilarPair, SimilarityConfig};
pub use self::sketch::Sketch;
