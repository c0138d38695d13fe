//! The order of the training windows, computed from a seed instead of stored.
//!
//! Sample number i is a pure function of the datasets, their weights, the seed and i. A checkpoint
//! therefore holds a [`Cursor`] of a few numbers, and any peer can compute the windows of any
//! other. This room keeps no random state and writes no file. Start with [`WindowSampler`]; for a
//! distributed run read [`Assignment`].
//!
//! ```rust
//! use covey_data::sampling::{Mixture, Permutation};
//!
//! # fn main() -> Result<(), covey_data::error::DataError> {
//! // The order of 1,000 windows in epoch 0 of the run with seed 42; each occurs once.
//! let order = Permutation::new(1000, 42, 0);
//! let mut windows: Vec<u64> = (0..1000).filter_map(|place| order.at(place)).collect();
//! windows.sort_unstable();
//! assert_eq!(windows, (0..1000).collect::<Vec<_>>());
//!
//! // Two sources at 3 to 1: of 400 samples 300 come from the first, within a few.
//! let drawn = Mixture::new(&[3.0, 1.0], 42)?.drawn_before(400);
//! assert!(drawn[0].abs_diff(300) <= 5);
//! # Ok(())
//! # }
//! ```

mod assignment;
mod cursor;
mod mixture;
mod permutation;
mod prefetch;
mod window_sampler;

pub use self::assignment::Assignment;
pub use self::cursor::{Cursor, SourceCursor};
pub use self::mixture::Mixture;
pub use self::permutation::Permutation;
pub use self::prefetch::{Batch, PrefetchLoader};
pub use self::window_sampler::{WindowSampler, WindowSource};
