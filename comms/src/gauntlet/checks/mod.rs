//! Checks on deltas that need no loss: norms, copies, and the consistency of a verdict's inputs.
//!
//! The checks find offenders and differences; they never change a record. Start with
//! `similarity.rs` for copies, and `consistency.rs` for verdicts of other validators.
//!
//! ```rust
//! use covey_comms::gauntlet::checks::Sketch;
//!
//! // Two drawn chunks with the positions that a delta contains in each of them.
//! let sketch = Sketch::new(vec![vec![3, 17, 40], vec![5]]);
//! assert_eq!(sketch.chunks()[1], [5]);
//! assert!(sketch.chunks().len() <= Sketch::CHUNKS);
//! ```

mod consistency;
mod norms;
mod similar_pair;
mod similarity;
mod sketch;

pub(crate) use self::consistency::check_inputs;
pub(crate) use self::norms::outsized;
pub use self::similar_pair::SimilarPair;
pub(crate) use self::similar_pair::similar_pairs;
pub(crate) use self::similarity::{Similarity, copies};
pub use self::sketch::Sketch;
