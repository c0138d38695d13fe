//! Cutting tensors into chunks, and the DCT of a chunk.

mod dct;
mod finite;
mod grid;

pub use self::dct::Dct;
pub(crate) use self::finite::INPUT_LIMIT;
pub use self::grid::ChunkGrid;
