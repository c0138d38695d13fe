//! The discrete cosine transform (DCT) of each chunk, to send the largest frequencies instead of
//! the largest elements.
//!
//! DCT-II along the columns and the rows of each block, orthonormal: it preserves norms and its
//! inverse is its transpose. So an error of a frequency has the same norm in elements.

use std::sync::OnceLock;

use multiversion::multiversion;
use rayon::prelude::*;

use super::grid::{ChunkGrid, SIDE_LIMIT};
use crate::sparseloco::config::CHUNK_LIMIT;

/// The transforms along sides of every length, computed on first use.
static AXES: [OnceLock<Axis>; SIDE_LIMIT + 1] = [const { OnceLock::new() }; SIDE_LIMIT + 1];

/// A block, row by row; shorter blocks use the front.
type DctBlock = [f32; CHUNK_LIMIT];

/// The transform of the chunks of one tensor.
#[derive(Clone, Copy, Debug)]
pub struct Dct<'a> {
    grid: &'a ChunkGrid,
    rows: &'static Axis,
    columns: &'static Axis,
}

impl<'a> Dct<'a> {
    /// The transform of these chunks. Returns `None` if a side is longer than 64 or the last chunk
    /// is shorter.
    pub fn new(grid: &'a ChunkGrid) -> Option<Self> {
        let even = grid.last_chunk_len() == grid.chunk_len();
        let (rows, columns) = (Axis::of(grid.block_rows())?, Axis::of(grid.block_columns())?);
        even.then_some(Self { grid, rows, columns })
    }

    /// Replaces every chunk of a tensor by its frequencies, in place.
    ///
    /// # Panics
    ///
    /// If the tensor is not a multiple of a slab. The tensor of the grid always is.
    pub fn forward(&self, tensor: &mut [f32]) {
        self.on_blocks(tensor, |tile, between| {
            // Rows first, in both directions: the order of roundings is part of the result.
            multiply(&self.rows.forward, tile, between, self.columns.side);
            multiply(between, &self.columns.inverse, tile, self.columns.side);
        });
    }

    /// The inverse of [`Dct::forward`], up to rounding.
    ///
    /// # Panics
    ///
    /// As [`Dct::forward`].
    pub fn inverse(&self, tensor: &mut [f32]) {
        self.on_blocks(tensor, |tile, between| {
            multiply(&self.rows.inverse, tile, between, self.columns.side);
            multiply(between, &self.columns.forward, tile, self.columns.side);
        });
    }

    /// Applies `change` to a copy of each block and writes the copy back.
    fn on_blocks(&self, tensor: &mut [f32], change: impl Fn(&mut [f32], &mut [f32]) + Sync) {
        let slabs = tensor.par_chunks_mut(self.grid.slab_len());
        slabs.for_each_init(
            || ([0.0; CHUNK_LIMIT], [0.0; CHUNK_LIMIT]),
            |(tile, between): &mut (DctBlock, DctBlock), slab| {
                let (tile, between) =
                    (&mut tile[..self.grid.chunk_len()], &mut between[..self.grid.chunk_len()]);
                for column in 0..self.grid.chunks_per_slab() {
                    self.grid.read(column, slab, tile);
                    change(tile, between);
                    self.grid.write(column, tile, slab);
                }
            },
        );
    }
}

/// The transform along one side: a matrix of frequencies by places, and its transpose.
#[derive(Debug)]
struct Axis {
    side: usize,
    forward: Vec<f32>,
    inverse: Vec<f32>,
}

impl Axis {
    /// The transform of a side up to 64.
    fn of(side: usize) -> Option<&'static Self> {
        AXES.get(side).filter(|_| side > 0).map(|axis| axis.get_or_init(|| Self::new(side)))
    }

    fn new(side: usize) -> Self {
        let indices = 0..side * side;
        let forward =
            indices.clone().map(|index| weight(side, index / side, index % side)).collect();
        let inverse = indices.map(|index| weight(side, index % side, index / side)).collect();
        Self { side, forward, inverse }
    }
}

/// The weight of a place in a frequency.
fn weight(side: usize, frequency: usize, place: usize) -> f32 {
    let scale = if frequency == 0 { 1.0 } else { 2.0 } / side as f64;
    (scale.sqrt() * cosine((2 * place + 1) * frequency, side)) as f32
}

/// The cosine of `steps` right angles divided by `side`.
///
/// It is a Taylor series in sums, products and quotients of `f64`: cosines of system libraries
/// differ in their rounding, and all peers must get the same weights.
fn cosine(steps: usize, side: usize) -> f64 {
    // Reduced in integers to an angle of at most 90 degrees, where the series converges fast and
    // without cancellation of large terms.
    let circle = steps % (4 * side);
    let half = circle.min(4 * side - circle);
    let (sign, quarter) = if half > side { (-1.0, 2 * side - half) } else { (1.0, half) };
    let angle = std::f64::consts::FRAC_PI_2 * quarter as f64 / side as f64;
    // The last term is below 1e-29 at a right angle, so more terms would not change the sum.
    let series = (1..16)
        .rev()
        .fold(1.0, |rest, term| 1.0 - angle * angle / f64::from(2 * term * (2 * term - 1)) * rest);
    sign * series
}

/// `product = left * right`, row by row; `right` and `product` have rows of `width`. Every element
/// is one sum in the order of the rows of `right`, so its bits do not depend on the instruction
/// set.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn multiply(left: &[f32], right: &[f32], product: &mut [f32], width: usize) {
    let inner = right.len() / width;
    for (factors, sums) in left.chunks_exact(inner).zip(product.chunks_exact_mut(width)) {
        match sums.as_mut_array::<SIDE_LIMIT>() {
            // Blocks of 64 columns are the usual case: a local array of known length stays in
            // registers.
            Some(sums) => {
                let mut row = [0.0; SIDE_LIMIT];
                let terms = factors.iter().zip(right.as_chunks::<SIDE_LIMIT>().0);
                terms.for_each(|(factor, right)| add_multiple(&mut row, *factor, right));
                *sums = row;
            }
            None => {
                sums.fill(0.0);
                let terms = factors.iter().zip(right.chunks_exact(width));
                terms.for_each(|(factor, right)| add_multiple(sums, *factor, right));
            }
        }
    }
}

#[inline(always)]
fn add_multiple(sums: &mut [f32], factor: f32, right: &[f32]) {
    sums.iter_mut().zip(right).for_each(|(sum, value)| *sum += factor * *value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sparseloco::config::Profile;

    /// The definition, element by element, of one block.
    fn by_definition(rows: usize, columns: usize, block: &[f32]) -> Vec<f64> {
        let basis = |side: usize, frequency: usize, place: usize| {
            let angle =
                std::f64::consts::PI * (place as f64 + 0.5) * frequency as f64 / side as f64;
            (if frequency == 0 { 1.0 } else { 2.0_f64.sqrt() }) / (side as f64).sqrt() * angle.cos()
        };
        let element = |index: usize| {
            let terms = block.iter().enumerate().map(|(place, value)| {
                let along = basis(columns, index % columns, place % columns);
                basis(rows, index / columns, place / columns) * along * f64::from(*value)
            });
            terms.sum()
        };
        (0..rows * columns).map(element).collect()
    }

    fn norm(values: &[f32]) -> f64 {
        values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
    }

    fn noise(len: usize) -> Vec<f32> {
        (0..len as u64)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / 8_388_608.0 - 1.0)
            .collect()
    }

    #[test]
    fn a_block_is_transformed_as_defined() {
        for (rows, columns) in [(64, 64), (5, 12), (1, 7), (9, 1), (1, 1), (64, 3)] {
            let grid = ChunkGrid::new(Profile::Covey, &[rows, columns]).unwrap();
            let values = noise(rows * columns);
            let mut got = values.clone();
            Dct::new(&grid).unwrap().forward(&mut got);
            let expected = by_definition(rows, columns, &values);
            let far =
                got.iter().zip(expected).map(|(got, expected)| (f64::from(*got) - expected).abs());
            assert!(far.fold(0.0, f64::max) < 1e-5, "{rows} x {columns}");
        }
    }

    #[test]
    fn known_coefficients_are_reproduced() {
        // Computed by hand: [1, 2, 3, 4] has the mean term 10 / 2; a constant block has that term
        // alone.
        let line = ChunkGrid::new(Profile::Reference, &[4]).unwrap();
        let mut values = [1.0, 2.0, 3.0, 4.0];
        Dct::new(&line).unwrap().forward(&mut values);
        let expected = [5.0, -2.230_442_5, 0.0, -0.158_512_67];
        assert!(
            values.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-6),
            "{values:?}"
        );
        let block = ChunkGrid::new(Profile::Covey, &[8, 16]).unwrap();
        let mut values = [0.5; 128];
        Dct::new(&block).unwrap().forward(&mut values);
        assert!((f64::from(values[0]) - 0.5 * 128.0_f64.sqrt()).abs() < 1e-5);
        assert!(values[1..].iter().all(|value| value.abs() < 1e-6));
    }

    #[test]
    fn the_inverse_restores_values_and_norms_are_preserved() {
        for shape in [&[128, 192][..], &[100, 36], &[67, 5], &[1, 1]] {
            let grid = ChunkGrid::new(Profile::Covey, shape).unwrap();
            let transform = Dct::new(&grid).unwrap();
            let values = noise(grid.len());
            let mut moved = values.clone();
            transform.forward(&mut moved);
            assert!((norm(&moved) / norm(&values) - 1.0).abs() < 1e-6, "{shape:?}");
            transform.inverse(&mut moved);
            assert!(moved.iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-5), "{shape:?}");
        }
    }

    #[test]
    fn blocks_are_transformed_independently() {
        let (whole, single) = ([128, 192], [64, 64]);
        let grid = ChunkGrid::new(Profile::Covey, &whole).unwrap();
        let block_grid = ChunkGrid::new(Profile::Covey, &single).unwrap();
        let values = noise(grid.len());
        let mut moved = values.clone();
        Dct::new(&grid).unwrap().forward(&mut moved);
        for chunk in 0..grid.num_chunks() {
            let read = |tensor: &[f32]| {
                (0..4096).map(|at| tensor[grid.index(chunk, at)]).collect::<Vec<f32>>()
            };
            let mut block = read(&values);
            Dct::new(&block_grid).unwrap().forward(&mut block);
            assert_eq!(block, read(&moved), "{chunk}");
        }
    }

    #[test]
    fn long_and_uneven_chunks_have_no_transform() {
        for shape in [&[4096][..], &[5000], &[65]] {
            let grid = ChunkGrid::new(Profile::Covey, shape).unwrap();
            assert!(Dct::new(&grid).is_none(), "{shape:?}");
        }
    }

    #[test]
    fn cosines_agree_with_the_library() {
        for side in [1, 2, 7, 48, 64] {
            for steps in 0..9 * side {
                let expected = (std::f64::consts::FRAC_PI_2 * steps as f64 / side as f64).cos();
                assert!((cosine(steps, side) - expected).abs() < 1e-14, "{steps} of {side}");
            }
        }
    }
}
