//! The division of a tensor into chunks; each chunk sends its largest values.
//!
//! A matrix is cut into blocks. The sides of a block are the largest divisors up to 64 of the sides
//! of the matrix, so a chunk covers rows and columns equally. Positions run along the rows of the
//! block. Blocks are numbered along rows of blocks. A row of blocks is contiguous in memory and
//! called a *slab*: the unit of parallel work. A vector is a column of slabs of one chunk each.

use crate::sparseloco::config::{CHUNK_LIMIT, Profile};

/// The longest side of a block.
pub(crate) const SIDE_LIMIT: usize = 64;

/// The chunks of one tensor.
///
/// - Every chunk has `block_rows * block_columns` elements, at most 4096. Only the last chunk of a
///   vector may be shorter.
/// - Slabs are contiguous and cover the tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkGrid {
    len: usize,
    block_rows: usize,
    block_columns: usize,
    chunks_per_slab: usize,
}

impl ChunkGrid {
    /// Creates the chunks of a tensor with 1 or 2 sides, none of them zero. Returns `None` for
    /// other shapes.
    pub fn new(profile: Profile, shape: &[usize]) -> Option<Self> {
        // The product of sides may overflow. The limit below also bounds the number of bytes.
        let len = shape.iter().try_fold(1_usize, |product, side| product.checked_mul(*side))?;
        match (shape, profile) {
            _ if len == 0 || len > isize::MAX as usize / 4 => None,
            ([_], Profile::Covey) => Some(Self::vector(len, len.min(CHUNK_LIMIT))),
            ([_], Profile::Reference) => Some(Self::vector(len, largest_divisor(len))),
            ([rows, columns], _) => Some(Self::matrix(*rows, *columns)),
            _ => None,
        }
    }

    fn vector(len: usize, chunk: usize) -> Self {
        Self { len, block_rows: 1, block_columns: chunk, chunks_per_slab: 1 }
    }

    fn matrix(rows: usize, columns: usize) -> Self {
        let block_columns = largest_divisor(columns);
        let chunks_per_slab = columns / block_columns;
        Self {
            len: rows * columns,
            block_rows: largest_divisor(rows),
            block_columns,
            chunks_per_slab,
        }
    }

    /// The number of elements of the tensor.
    #[expect(clippy::len_without_is_empty, reason = "a grid is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The number of elements of a chunk, except for a shorter last one.
    pub fn chunk_len(&self) -> usize {
        self.block_rows * self.block_columns
    }

    /// The number of elements of the last chunk.
    pub fn last_chunk_len(&self) -> usize {
        self.len - (self.num_chunks() - 1) * self.chunk_len()
    }

    /// The number of chunks.
    pub fn num_chunks(&self) -> usize {
        self.len.div_ceil(self.chunk_len())
    }

    /// The number of elements of a slab; the last slab of a vector may be shorter.
    pub fn slab_len(&self) -> usize {
        self.chunk_len() * self.chunks_per_slab
    }

    /// The number of chunks of a slab.
    pub fn chunks_per_slab(&self) -> usize {
        self.chunks_per_slab
    }

    /// The number of rows of a block.
    pub(crate) fn block_rows(&self) -> usize {
        self.block_rows
    }

    /// The number of elements in a row of a block; they are contiguous in memory.
    pub(crate) fn block_columns(&self) -> usize {
        self.block_columns
    }

    /// The distance in elements from one row of a block to the next.
    pub(crate) fn row_stride(&self) -> usize {
        self.block_columns * self.chunks_per_slab
    }

    /// Copies chunk number `column` of a slab, row by row, to a tile of its length.
    pub(crate) fn read(&self, column: usize, slab: &[f32], tile: &mut [f32]) {
        let columns = self.block_columns.min(tile.len());
        for (row, tile) in slab.chunks(self.row_stride()).zip(tile.chunks_mut(columns)) {
            tile.copy_from_slice(&row[column * columns..][..columns]);
        }
    }

    /// Copies a tile to chunk number `column` of a slab.
    pub(crate) fn write(&self, column: usize, tile: &[f32], slab: &mut [f32]) {
        let columns = self.block_columns.min(tile.len());
        for (row, tile) in slab.chunks_mut(self.row_stride()).zip(tile.chunks(columns)) {
            row[column * columns..][..columns].copy_from_slice(tile);
        }
    }

    /// The index in its slab of a position of chunk number `column`.
    pub(crate) fn index_in_slab(&self, column: usize, position: usize) -> usize {
        let (row, inside) = (position / self.block_columns, position % self.block_columns);
        row * self.row_stride() + column * self.block_columns + inside
    }

    /// The index in the tensor, stored row by row, of a position of a chunk.
    pub fn index(&self, chunk: usize, position: usize) -> usize {
        let (slab, column) = (chunk / self.chunks_per_slab, chunk % self.chunks_per_slab);
        slab * self.slab_len() + self.index_in_slab(column, position)
    }
}

/// The largest divisor of `number` that is at most 64.
fn largest_divisor(number: usize) -> usize {
    // The published rule. A prime side above 64 gives blocks that are one element wide.
    (1..=SIDE_LIMIT).rev().find(|side| number.is_multiple_of(*side)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_every_index_once(profile: Profile, shape: &[usize]) {
        let grid = ChunkGrid::new(profile, shape).unwrap();
        let mut seen = vec![false; grid.len()];
        for chunk in 0..grid.num_chunks() {
            let last = chunk + 1 == grid.num_chunks();
            for position in 0..if last { grid.last_chunk_len() } else { grid.chunk_len() } {
                assert!(
                    !std::mem::replace(&mut seen[grid.index(chunk, position)], true),
                    "{shape:?}"
                );
            }
        }
        assert!(seen.into_iter().all(|seen| seen), "{shape:?}");
    }

    #[test]
    fn chunks_cover_each_element_once() {
        for profile in [Profile::Reference, Profile::Covey] {
            for shape in [
                &[128, 192][..],
                &[100, 36],
                &[67, 64],
                &[1, 1],
                &[96],
                &[4096],
                &[5000],
                &[1],
                &[131],
            ] {
                assert_every_index_once(profile, shape);
            }
        }
    }

    #[test]
    fn blocks_have_the_published_sides() {
        let sides = |shape: &[usize]| {
            let grid = ChunkGrid::new(Profile::Reference, shape).unwrap();
            (grid.block_rows, grid.block_columns, grid.num_chunks())
        };
        assert_eq!(sides(&[128, 192]), (64, 64, 6));
        assert_eq!(sides(&[100, 36]), (50, 36, 2));
        assert_eq!(sides(&[96]), (1, 48, 2));
        assert_eq!(ChunkGrid::new(Profile::Covey, &[2, 3, 4]), None);
        assert_eq!(ChunkGrid::new(Profile::Covey, &[0]), None);
    }
}
