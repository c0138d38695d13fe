//! Strided views of `f32` matrices and their product.
//!
//! The only unsafe code of the crate: a product writes through raw pointers, and several threads
//! write disjoint columns of one buffer. A view is created from a slice that covers it, and can
//! only be split into parts that do not overlap. Borrow rules then hold for views as they do for
//! slices.
#![expect(
    unsafe_code,
    reason = "the matrix product takes pointers; disjoint columns cannot be slices"
)]

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

/// Read-only view: element (i, j) is `values[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix of all `values`, with rows of `columns` elements.
    pub(crate) fn new(values: &'a [f32], columns: usize) -> Self {
        assert_eq!(values.len() % columns, 0, "a matrix needs whole rows");
        let rows = values.len() / columns;
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same elements with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// These rows, all columns.
    pub(crate) fn rows(self, rows: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        // An empty range may start behind the end of the slice; `min` keeps the offset inside.
        let offset = (rows.start * self.row_stride).min(self.values.len());
        Self { values: &self.values[offset..], rows: rows.len(), ..self }
    }

    /// These columns, all rows.
    pub(crate) fn columns(self, columns: Range<usize>) -> Self {
        self.transposed().rows(columns).transposed()
    }

    /// One row of a matrix with contiguous rows.
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        assert!(row < self.rows && self.column_stride == 1, "row {row} of {}", self.rows);
        &self.values[row * self.row_stride..][..self.columns]
    }

    /// Number of rows.
    pub(crate) fn num_rows(&self) -> usize {
        self.rows
    }

    /// Returns true if all elements are within the slice. The product reads them without a check.
    fn is_covered(&self) -> bool {
        if self.rows * self.columns == 0 {
            return true;
        }
        let last_row = (self.rows - 1) * self.row_stride;
        let last_column = (self.columns - 1) * self.column_stride;
        last_row + last_column < self.values.len()
    }
}

/// Writable view with contiguous rows and exclusive access to its elements. Its rows may be
/// interleaved with those of another view.
pub(crate) struct MatrixMut<'a> {
    first: *mut f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: a view has exclusive access to its elements during its lifetime, like the `&mut [f32]`
// from which it was created.
unsafe impl Send for MatrixMut<'_> {}
// SAFETY: a shared view gives no access at all.
unsafe impl Sync for MatrixMut<'_> {}

impl<'a> MatrixMut<'a> {
    /// A row-major matrix of all `values`, with rows of `columns` elements.
    pub(crate) fn new(values: &'a mut [f32], columns: usize) -> Self {
        assert_eq!(values.len() % columns, 0, "a matrix needs whole rows");
        let rows = values.len() / columns;
        Self { first: values.as_mut_ptr(), rows, columns, row_stride: columns, owner: PhantomData }
    }

    /// The same view with a shorter lifetime.
    pub(crate) fn reborrow(&mut self) -> MatrixMut<'_> {
        MatrixMut { owner: PhantomData, ..*self }
    }

    /// These rows, with a shorter lifetime.
    pub(crate) fn rows_mut(&mut self, rows: Range<usize>) -> MatrixMut<'_> {
        self.reborrow().split_rows(rows.end).0.split_rows(rows.start).1
    }

    /// Sets all elements.
    pub(crate) fn fill(&mut self, value: f32) {
        for row in 0..self.rows {
            // SAFETY: each row of a view is inside its buffer, and no other view has access to it.
            let row = unsafe {
                std::slice::from_raw_parts_mut(self.first.add(row * self.row_stride), self.columns)
            };
            row.fill(value);
        }
    }

    /// The first `count` rows, and the rest.
    pub(crate) fn split_rows(self, count: usize) -> (Self, Self) {
        assert!(count <= self.rows, "{count} rows of {}", self.rows);
        // SAFETY: row `count` starts inside the buffer, or one past its end, when `count <= rows`.
        let rest =
            unsafe { self.first.add(count * self.row_stride * usize::from(count < self.rows)) };
        (Self { rows: count, ..self }, Self { first: rest, rows: self.rows - count, ..self })
    }

    /// Parts of `width` columns each, side by side.
    pub(crate) fn into_column_parts(self, width: usize) -> Vec<Self> {
        assert_eq!(self.columns % width, 0, "{} columns in parts of {width}", self.columns);
        (0..self.columns / width)
            .map(|index| {
                // SAFETY: the part starts inside the first row; parts do not overlap.
                let first = unsafe { self.first.add(index * width) };
                Self { first, columns: width, ..self }
            })
            .collect()
    }

    /// Parts of at most `count` rows each, from top to bottom.
    pub(crate) fn into_row_parts(self, count: usize) -> Vec<Self> {
        let mut parts = Vec::with_capacity(self.rows.div_ceil(count));
        let mut rest = self;
        while rest.rows > 0 {
            let take = count.min(rest.rows);
            let (part, below) = rest.split_rows(take);
            parts.push(part);
            rest = below;
        }
        parts
    }
}

/// Effect of a product on its output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// The old content is ignored, so it may be anything.
    Replace,
    /// The product is added to the old content.
    Add,
}

/// `out = left * right`, or `out += left * right`, on the calling thread.
pub(crate) fn multiply(out: MatrixMut<'_>, left: Matrix<'_>, right: Matrix<'_>, write: Write) {
    let inner = left.columns;
    assert_eq!(
        (left.rows, inner, right.columns),
        (out.rows, right.rows, out.columns),
        "shapes of a product"
    );
    assert!(left.is_covered() && right.is_covered(), "views end inside their slices");
    // SAFETY: both inputs are inside their slices, `out` is inside the slice from which it was
    // created, and has exclusive access to it.
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            inner,
            out.first,
            1,
            out.row_stride as isize,
            write == Write::Add,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            // Threads divide the rows before this call, in parts that depend on the shape only.
            gemm::Parallelism::None,
        );
    }
}

/// [`multiply`] on all threads, which divide the rows of `out`.
///
/// The parts depend on the shape only. `gemm` sums in another order for other shapes, and results
/// must be the same on any number of threads.
pub(crate) fn multiply_parallel(
    out: MatrixMut<'_>,
    left: Matrix<'_>,
    right: Matrix<'_>,
    write: Write,
) {
    // As in `rows_per_task`, but at least 64: each part packs the whole right matrix again.
    let count = out.rows.div_ceil(8).next_multiple_of(32).clamp(64, 256);
    out.into_row_parts(count).into_par_iter().enumerate().for_each(|(index, part)| {
        let start = index * count;
        let rows = start..start + part.rows;
        multiply(part, left.rows(rows), right, write);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i * 7 % 23) as f32 - 11.0).collect()
    }

    fn naive(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
        (0..left.rows)
            .flat_map(|i| (0..right.columns).map(move |j| (i, j)))
            .map(|(i, j)| (0..left.columns).map(|k| at(&left, i, k) * at(&right, k, j)).sum())
            .collect()
    }

    fn at(matrix: &Matrix<'_>, row: usize, column: usize) -> f32 {
        matrix.values[row * matrix.row_stride + column * matrix.column_stride]
    }

    #[test]
    fn a_product_equals_its_definition() {
        let (a, b) = (ramp(5 * 3), ramp(3 * 8));
        let (left, right) = (Matrix::new(&a, 3), Matrix::new(&b, 8));
        for (left, right) in [(left, right), (right.transposed(), left.transposed())] {
            let mut out = vec![1.0; left.rows * right.columns];
            let width = right.columns;
            multiply(MatrixMut::new(&mut out, width), left, right, Write::Replace);
            assert_eq!(out, naive(left, right));
            multiply_parallel(MatrixMut::new(&mut out, width), left, right, Write::Add);
            assert!(out.iter().zip(naive(left, right)).all(|(got, once)| *got == 2.0 * once));
        }
    }

    #[test]
    fn writing_one_column_part_leaves_the_others_unchanged() {
        let (a, b) = (ramp(6 * 4), ramp(4 * 2));
        let mut out = vec![0.0; 6 * 4];
        for (index, part) in
            MatrixMut::new(&mut out, 4).into_column_parts(2).into_iter().enumerate().skip(1)
        {
            assert_eq!(index, 1);
            multiply(part, Matrix::new(&a, 4), Matrix::new(&b, 2), Write::Replace);
        }
        let expected = naive(Matrix::new(&a, 4), Matrix::new(&b, 2));
        for row in 0..6 {
            assert_eq!(out[row * 4..row * 4 + 2], [0.0, 0.0]);
            assert_eq!(out[row * 4 + 2..row * 4 + 4], expected[row * 2..row * 2 + 2]);
        }
    }
}
