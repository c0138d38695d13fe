//! What one peer says in one round: sparse, quantised, checked.

use std::sync::Arc;

use multiversion::multiversion;

use super::config::{CHUNK_LIMIT, Profile};
use super::error::SparseLocoError;
use super::quantizer;
use super::quantizer::LEVEL_LIMIT;
use super::schema::{Schema, TensorSpec};

/// One value sent: its position inside its chunk and its 2-bit code, in two bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodedValue(u16);

impl CodedValue {
    /// An entry of a position below 4096 and a code below 4; higher bits of both are dropped.
    pub fn new(position: usize, code: u8) -> Self {
        Self((position as u16 & 0xfff) | u16::from(code) << 14)
    }

    /// Position inside the chunk, below 4096.
    pub fn position(self) -> usize {
        usize::from(self.0 & 0xfff)
    }

    /// Which of the tensor's four levels it stands for.
    pub fn code(self) -> usize {
        usize::from(self.0 >> 14)
    }

    pub(crate) fn with_code(self, code: u8) -> Self {
        Self::new(self.position(), code)
    }
}

/// A sparse, quantised step of all tensors, from the shared weights *back* from a peer's own: it is subtracted.
///
/// - Entries lie tensor by tensor in the order of the schema, chunk by chunk, ascending inside a chunk, exactly as many
///   as the schema says.
/// - Levels are finite, within ±1e30, and of the form that the schema's profile fits: what can be held can be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    schema: Arc<Schema>,
    entries: Vec<CodedValue>,
    levels: Vec<[f32; 4]>,
}

/// One tensor of a delta.
#[derive(Clone, Copy, Debug)]
pub struct TensorDelta<'a> {
    /// Its shape and chunks.
    pub spec: &'a TensorSpec,
    /// Its entries, chunk by chunk.
    pub entries: &'a [CodedValue],
    /// What the four codes stand for.
    pub levels: [f32; 4],
    /// Whose arithmetic norms follow.
    pub profile: Profile,
}

impl Delta {
    /// A delta of entries and levels from anywhere.
    ///
    /// # Errors
    ///
    /// Whatever breaks an invariant of this type.
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

    /// Trusts its caller to have made or checked every entry and level.
    pub(crate) fn trusted(
        schema: Arc<Schema>,
        entries: Vec<CodedValue>,
        levels: Vec<[f32; 4]>,
    ) -> Self {
        debug_assert_eq!(
            (entries.len(), levels.len()),
            (schema.num_entries(), schema.tensors().len())
        );
        Self { schema, entries, levels }
    }

    /// The form of this delta.
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
    /// Beyond the schema's tensors.
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
    /// Entries of each chunk, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &'a [CodedValue]> + use<'a> {
        self.entries.chunks(self.spec.kept())
    }

    /// L2 norm of the values that are sent.
    ///
    /// Exact but for the last rounding, by counting codes. The reference profile repeats PyTorch's sum instead: eight
    /// `f32` sums of every eighth square, added at the end, which err by some 1e-6.
    pub fn norm(&self) -> f64 {
        match self.profile {
            Profile::Covey => self.exact_norm(),
            Profile::Reference => f64::from(self.published_norm()),
        }
    }

    fn exact_norm(&self) -> f64 {
        let counts = count_codes(self.entries);
        let squares = counts
            .iter()
            .zip(self.levels)
            .map(|(count, level)| *count as f64 * f64::from(level).powi(2));
        squares.sum::<f64>().sqrt()
    }

    fn published_norm(&self) -> f32 {
        let squares = self.levels.map(|level| level * level);
        let (rows, rest) = self.entries.as_chunks::<8>();
        let mut sums = [0.0_f32; 8];
        for row in rows {
            sums.iter_mut().zip(row).for_each(|(sum, entry)| *sum += squares[entry.code()]);
        }
        let sum = sums.into_iter().reduce(|sum, lane| sum + lane).unwrap_or(0.0);
        rest.iter().fold(sum, |sum, entry| sum + squares[entry.code()]).sqrt()
    }

    /// Adds every value, as it is sent, to its place in a tensor of the spec's length: a frequency to a frequency if the
    /// schema transforms.
    pub fn add_to(&self, tensor: &mut [f32]) {
        for (chunk, entries) in self.chunks().enumerate() {
            for entry in entries {
                tensor[self.spec.grid().index(chunk, entry.position())] +=
                    self.levels[entry.code()];
            }
        }
    }

    /// Adds what this one says more than `other`, a delta of the same tensor, value by value. Nothing moves where both
    /// say the same.
    pub(crate) fn add_difference(&self, other: &Self, tensor: &mut [f32]) {
        let mut differences = [0.0_f32; CHUNK_LIMIT];
        for (chunk, (ours, theirs)) in self.chunks().zip(other.chunks()).enumerate() {
            ours.iter().for_each(|entry| differences[entry.position()] = self.levels[entry.code()]);
            theirs
                .iter()
                .for_each(|entry| differences[entry.position()] -= other.levels[entry.code()]);
            for entry in ours.iter().chain(theirs) {
                let difference = std::mem::take(&mut differences[entry.position()]);
                tensor[self.spec.grid().index(chunk, entry.position())] += difference;
            }
        }
    }

    /// The elements of the tensor as everybody sees them: without a transform, zero where nothing was sent.
    pub fn dense(&self) -> Vec<f32> {
        let mut tensor = vec![0.0; self.spec.grid().len()];
        self.add_to(&mut tensor);
        if let Some(transform) = self.spec.transform() {
            transform.inverse(&mut tensor);
        }
        tensor
    }

    fn check(&self, profile: Profile) -> Result<(), SparseLocoError> {
        let name = || self.spec.name().to_owned();
        if !self.levels.iter().all(|level| level.abs() <= LEVEL_LIMIT) {
            return Err(SparseLocoError::NonFinite { what: "level", name: name() });
        }
        if profile == Profile::Covey && !quantizer::is_two_level(self.levels) {
            return Err(SparseLocoError::Levels { name: name(), got: self.levels });
        }
        for (chunk, entries) in self.chunks().enumerate() {
            let length = self.spec.chunk_len(chunk);
            let mut least = 0;
            for (entry, position) in entries.iter().map(|entry| entry.position()).enumerate() {
                if position < least || position >= length {
                    return Err(SparseLocoError::Entry { name: name(), chunk, entry });
                }
                least = position + 1;
            }
        }
        Ok(())
    }
}

/// How many entries have each code.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn count_codes(entries: &[CodedValue]) -> [u64; 4] {
    let mut counts = [0; 4];
    // Sums of 16 bits hold this many ones, and are what there are most of in a register.
    for part in entries.chunks(usize::from(u16::MAX)) {
        let of_code = |code| part.iter().map(|entry| u16::from(entry.0 >> 14 == code)).sum::<u16>();
        counts.iter_mut().zip(0..).for_each(|(count, code)| *count += u64::from(of_code(code)));
    }
    counts
}
