//! The delta of one peer in one round: sparse and quantized.

use std::sync::Arc;

use multiversion::multiversion;

use super::config::{CHUNK_LIMIT, Profile};
use super::error::SparseLocoError;
use super::quantizer::{LEVEL_LIMIT, is_two_level};
use super::schema::{Schema, TensorSpec};

/// An entry of a delta: its position inside its chunk and its 2-bit code, in two bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodedValue(u16);

impl CodedValue {
    /// Creates an entry of a position below 4096 and a code below 4. Higher bits of both are
    /// discarded.
    pub fn new(position: usize, code: u8) -> Self {
        Self((position as u16 & 0xfff) | u16::from(code) << 14)
    }

    /// Its position inside the chunk, below 4096.
    pub fn position(self) -> usize {
        usize::from(self.0 & 0xfff)
    }

    /// The index of its value among the four levels of the tensor.
    pub fn code(self) -> usize {
        usize::from(self.0 >> 14)
    }

    pub(crate) fn with_code(self, code: u8) -> Self {
        Self::new(self.position(), code)
    }
}

/// The compressed pseudo-gradient of all tensors: weights at the start of the round minus weights
/// after the inner steps. It is subtracted from the weights.
///
/// - Entries are in the order of tensors in the schema, then chunks, and ascend inside a chunk.
///   Their number follows from the schema.
/// - Levels are finite, within ±1e30, and of the form of the profile, so every delta can be
///   encoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    schema: Arc<Schema>,
    entries: Vec<CodedValue>,
    levels: Vec<[f32; 4]>,
}

/// The part of a delta that belongs to one tensor.
#[derive(Clone, Copy, Debug)]
pub struct TensorDelta<'a> {
    /// Shape and chunks.
    pub spec: &'a TensorSpec,
    /// Entries, chunk by chunk.
    pub entries: &'a [CodedValue],
    /// The values of the four codes.
    pub levels: [f32; 4],
    /// The profile, which selects the arithmetic of norms.
    pub profile: Profile,
}

impl Delta {
    /// Creates a delta of any entries and levels.
    ///
    /// # Errors
    ///
    /// [`SparseLocoError`] if an invariant of this type is broken.
    pub fn new(
        schema: Arc<Schema>,
        entries: Vec<CodedValue>,
        levels: Vec<[f32; 4]>,
    ) -> Result<Self, SparseLocoError> {
        if levels.len() != schema.tensors().len() {
            return Err(SparseLocoError::TensorCount {
                expected: schema.tensors().len(),
                got: levels.len(),
            });
        }
        if entries.len() != schema.num_entries() {
            return Err(SparseLocoError::EntryCount {
                expected: schema.num_entries(),
                got: entries.len(),
            });
        }
        let delta = Self { schema, entries, levels };
        (0..delta.levels.len())
            .try_for_each(|index| delta.tensor(index).check(delta.schema.profile()))?;
        Ok(delta)
    }

    /// Creates a delta of entries and levels that the caller has made or checked.
    pub(crate) fn trusted(
        schema: Arc<Schema>,
        entries: Vec<CodedValue>,
        levels: Vec<[f32; 4]>,
    ) -> Self {
        // A full check would read every entry again; the compressor and the decoder guarantee order
        // and range.
        debug_assert_eq!(
            (entries.len(), levels.len()),
            (schema.num_entries(), schema.tensors().len())
        );
        Self { schema, entries, levels }
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// All entries, in canonical order.
    pub fn entries(&self) -> &[CodedValue] {
        &self.entries
    }

    /// The four levels of each tensor, in canonical order.
    pub fn levels(&self) -> &[[f32; 4]] {
        &self.levels
    }

    /// One tensor, by its place in the schema.
    ///
    /// # Panics
    ///
    /// If the schema has no such tensor.
    pub fn tensor(&self, index: usize) -> TensorDelta<'_> {
        let spec = &self.schema.tensors()[index];
        let profile = self.schema.profile();
        TensorDelta {
            spec,
            entries: &self.entries[spec.entries()],
            levels: self.levels[index],
            profile,
        }
    }

    /// All tensors, in canonical order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorDelta<'_>> {
        (0..self.levels.len()).map(|index| self.tensor(index))
    }
}

impl<'a> TensorDelta<'a> {
    /// The entries of each chunk, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &'a [CodedValue]> + use<'a> {
        self.entries.chunks(self.spec.kept())
    }

    /// The L2 norm of the values that are sent.
    ///
    /// It is computed from the counts of codes, and exact up to a few roundings of f64. The
    /// reference profile repeats the sum of PyTorch instead: eight `f32` sums of every eighth
    /// square, added at the end, with a relative error of about 1e-6.
    pub fn norm(&self) -> f64 {
        match self.profile {
            Profile::Covey => self.exact_norm(),
            Profile::Reference => f64::from(self.published_norm()),
        }
    }

    fn exact_norm(&self) -> f64 {
        let counts = count_codes(self.entries);
        let squares = counts.iter().zip(self.levels).map(|(count, level)| {
            // A product instead of `powi`, which has no specified precision: peers clip by this
            // norm and must agree on its bits. The square of an f32 is exact in f64.
            let level = f64::from(level);
            *count as f64 * (level * level)
        });
        squares.sum::<f64>().sqrt()
    }

    fn published_norm(&self) -> f32 {
        // Eight sums, as in the vector registers of the published program.
        let squares = self.levels.map(|level| level * level);
        let (rows, rest) = self.entries.as_chunks::<8>();
        let mut sums = [0.0_f32; 8];
        for row in rows {
            sums.iter_mut().zip(row).for_each(|(sum, entry)| *sum += squares[entry.code()]);
        }
        let sum = sums.into_iter().reduce(|sum, lane| sum + lane).unwrap_or(0.0);
        rest.iter().fold(sum, |sum, entry| sum + squares[entry.code()]).sqrt()
    }

    /// Adds every value to its place in a tensor of the length of the spec. The tensor holds
    /// frequencies if the schema has a transform.
    pub fn add_to(&self, tensor: &mut [f32]) {
        for (chunk, entries) in self.chunks().enumerate() {
            for entry in entries {
                tensor[self.spec.grid().index(chunk, entry.position())] +=
                    self.levels[entry.code()];
            }
        }
    }

    /// Adds `self - other`, for another delta of the same tensor, value by value. Equal values
    /// change nothing.
    pub(crate) fn add_difference(&self, other: &Self, tensor: &mut [f32]) {
        let mut differences = [0.0_f32; CHUNK_LIMIT];
        for (chunk, (mine, others)) in self.chunks().zip(other.chunks()).enumerate() {
            mine.iter().for_each(|entry| differences[entry.position()] = self.levels[entry.code()]);
            others
                .iter()
                .for_each(|entry| differences[entry.position()] -= other.levels[entry.code()]);
            for entry in mine.iter().chain(others) {
                // Taken once, then zero: a position in both deltas occurs twice here.
                let difference = std::mem::take(&mut differences[entry.position()]);
                tensor[self.spec.grid().index(chunk, entry.position())] += difference;
            }
        }
    }

    /// The elements of the tensor that the delta describes. Without a transform, elements that were
    /// not sent are zero.
    pub fn dense(&self) -> Vec<f32> {
        let mut tensor = vec![0.0; self.spec.grid().len()];
        self.add_to(&mut tensor);
        if let Some(transform) = self.spec.transform() {
            transform.inverse(&mut tensor);
        }
        tensor
    }

    /// Returns an error if an invariant of [`Delta`] is broken.
    fn check(&self, profile: Profile) -> Result<(), SparseLocoError> {
        let name = self.spec.name();
        // NaN fails this comparison as well.
        if !self.levels.iter().all(|level| level.abs() <= LEVEL_LIMIT) {
            return Err(SparseLocoError::NonFinite { what: "level", name: name.to_owned() });
        }
        if profile == Profile::Covey && !is_two_level(self.levels) {
            return Err(SparseLocoError::Levels { name: name.to_owned(), got: self.levels });
        }
        for (chunk, entries) in self.chunks().enumerate() {
            let length = self.spec.chunk_len(chunk);
            let mut least = 0;
            for (entry, position) in entries.iter().map(|entry| entry.position()).enumerate() {
                if position < least || position >= length {
                    return Err(SparseLocoError::Entry { name: name.to_owned(), chunk, entry });
                }
                least = position + 1;
            }
        }
        Ok(())
    }
}

/// Counts the entries of each code.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn count_codes(entries: &[CodedValue]) -> [u64; 4] {
    let mut counts = [0; 4];
    // A vector register holds twice as many 16-bit sums as 32-bit sums. A part has as many entries
    // as a 16-bit sum can count.
    for part in entries.chunks(usize::from(u16::MAX)) {
        for (code, count) in (0..).zip(&mut counts) {
            let sum: u16 = part.iter().map(|entry| u16::from(entry.0 >> 14 == code)).sum();
            *count += u64::from(sum);
        }
    }
    counts
}
