//! Chunks of a tensor: the grid that cuts it, the DCT of a chunk, and the range of valid values.
//!
//! The folder never selects values: that is [`top_k`](super::top_k). Start with `grid`.
//!
//! ```rust
//! use covey_optim::sparseloco::Profile;
//! use covey_optim::sparseloco::chunks::ChunkGrid;
//!
//! let grid = ChunkGrid::new(Profile::Covey, &[128, 192]).expect("a matrix without a zero side");
//! assert_eq!((grid.num_chunks(), grid.chunk_len()), (6, 64 * 64));
//! // Chunk 4 is the second of the second row of blocks.
//! assert_eq!(grid.index(4, 0), 64 * 192 + 64);
//! ```

mod dct;
mod finite;
mod grid;

pub use self::dct::Dct;
pub(crate) use self::finite::INPUT_LIMIT;
pub use self::grid::ChunkGrid;
