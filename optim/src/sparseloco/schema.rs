//! The form of every delta of a run: names, shapes, chunks and numbers of entries.

use std::ops::Range;

use super::config::{Profile, SparseLocoConfig};
use super::error::SparseLocoError;
use crate::sparseloco::chunks::{ChunkGrid, Dct};

/// One tensor of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    name: String,
    shape: Vec<usize>,
    grid: ChunkGrid,
    kept: usize,
    kept_last: usize,
    entries: Range<usize>,
    dct: bool,
}

impl TensorSpec {
    /// Its name in files; tensors are in the order of names.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its shape: one or two sides.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its chunks.
    pub fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    /// Number of values sent per chunk, except for a shorter last one.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Number of values sent of the last chunk.
    pub fn kept_last(&self) -> usize {
        self.kept_last
    }

    /// The places of its entries among all entries of a delta.
    pub fn entries(&self) -> Range<usize> {
        self.entries.clone()
    }

    /// The transform from elements to the frequencies that are sent; `None` if elements are sent.
    pub fn transform(&self) -> Option<Dct<'_>> {
        Dct::new(&self.grid).filter(|_| self.dct && self.shape.len() == 2)
    }

    /// The number of its slabs.
    pub fn num_slabs(&self) -> usize {
        self.grid.len().div_ceil(self.grid.slab_len())
    }

    /// The number of entries per slab; the last slab of a vector may have fewer.
    pub fn entries_per_slab(&self) -> usize {
        self.kept * self.grid.chunks_per_slab()
    }

    /// The elements of these slabs.
    pub fn elements_of(&self, slabs: &Range<usize>) -> Range<usize> {
        limited(slabs, self.grid.slab_len(), self.grid.len())
    }

    /// The places of the entries of these slabs among those of the tensor.
    pub fn entries_of(&self, slabs: &Range<usize>) -> Range<usize> {
        limited(slabs, self.entries_per_slab(), self.entries.len())
    }

    /// The number of elements of a chunk. Only the last chunk may be shorter and have fewer
    /// entries.
    pub(crate) fn chunk_len(&self, chunk: usize) -> usize {
        if chunk + 1 == self.grid.num_chunks() {
            self.grid.last_chunk_len()
        } else {
            self.grid.chunk_len()
        }
    }
}

/// The tensors of a run with their chunks: the form of every delta.
///
/// - Tensors are sorted by the bytes of their names, independent of the order of the caller. Sums
///   over tensors and bytes on the wire are in this order.
/// - A schema depends only on names, shapes, [`Profile`], `k` and the transform. The run
///   description fixes all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    profile: Profile,
    k: usize,
    dct: bool,
    tensors: Vec<TensorSpec>,
    digest: [u8; 8],
}

impl Schema {
    /// Creates the schema of tensors by name and shape.
    ///
    /// # Errors
    ///
    /// [`SparseLocoError`] if a name occurs twice or a shape cannot be cut into chunks.
    pub fn new<'a>(
        profile: Profile,
        k: usize,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<Self, SparseLocoError> {
        Self::cut(profile, k, false, tensors)
    }

    /// As [`Schema::new`], but frequencies of the blocks of matrices are sent instead of elements.
    ///
    /// # Errors
    ///
    /// As [`Schema::new`].
    pub fn with_dct<'a>(
        profile: Profile,
        k: usize,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<Self, SparseLocoError> {
        Self::cut(profile, k, true, tensors)
    }

    fn cut<'a>(
        profile: Profile,
        k: usize,
        dct: bool,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<Self, SparseLocoError> {
        let mut sorted: Vec<(&str, &[usize])> = tensors.into_iter().collect();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(SparseLocoError::Duplicate { name: pair[0].0.to_owned() });
        }
        let mut specs = Vec::with_capacity(sorted.len());
        let mut start = 0;
        for (name, shape) in sorted {
            let spec = TensorSpec { dct, ..spec(profile, k, name, shape, start)? };
            start = spec.entries.end;
            specs.push(spec);
        }
        // The digest is in the header of each payload: a peer with other settings is rejected
        // before its entries are decoded.
        let digest = digest(profile, k, dct, &specs);
        Ok(Self { profile, k, dct, tensors: specs, digest })
    }

    /// The rules for chunks and levels.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Number of values sent per chunk of 4096.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Returns true if frequencies of matrices are sent instead of elements.
    pub fn dct(&self) -> bool {
        self.dct
    }

    /// The tensors, sorted by name.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// The place of a tensor in the order by name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.tensors.binary_search_by(|spec| spec.name.as_str().cmp(name)).ok()
    }

    /// The number of entries of a delta.
    pub fn num_entries(&self) -> usize {
        self.tensors.last().map_or(0, |spec| spec.entries.end)
    }

    /// The number of elements of all tensors.
    pub fn num_elements(&self) -> usize {
        self.tensors.iter().map(|spec| spec.grid.len()).sum()
    }

    /// The first 8 bytes of the BLAKE3 hash of names, shapes and settings.
    pub fn digest(&self) -> [u8; 8] {
        self.digest
    }

    /// Compares the number of elements of each tensor with the schema; `what` names the tensors in
    /// the error.
    pub(crate) fn check_lengths(
        &self,
        what: &'static str,
        lengths: impl ExactSizeIterator<Item = usize>,
    ) -> Result<(), SparseLocoError> {
        if lengths.len() != self.tensors.len() {
            return Err(SparseLocoError::TensorCount {
                expected: self.tensors.len(),
                got: lengths.len(),
            });
        }
        match self.tensors.iter().zip(lengths).find(|(spec, got)| spec.grid.len() != *got) {
            None => Ok(()),
            Some((spec, got)) => {
                let (name, expected) = (spec.name.clone(), spec.grid.len());
                Err(SparseLocoError::Length { what, name, expected, got })
            }
        }
    }
}

impl SparseLocoConfig {
    // Here and not in `config`: the schema imports the settings, so they cannot import the schema.
    /// Creates the schema of tensors by name and shape.
    ///
    /// # Errors
    ///
    /// As [`Schema::new`].
    pub fn schema<'a>(
        &self,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<Schema, SparseLocoError> {
        Schema::cut(self.profile, self.k, self.dct, tensors)
    }
}

/// The parts of `len` items that belong to `slabs` of `slab_len` items each; the last slab may be
/// shorter.
fn limited(slabs: &Range<usize>, slab_len: usize, len: usize) -> Range<usize> {
    (slabs.start * slab_len).min(len)..(slabs.end * slab_len).min(len)
}

/// The specification of one tensor; `start` is the place of its first entry.
fn spec(
    profile: Profile,
    k: usize,
    name: &str,
    shape: &[usize],
    start: usize,
) -> Result<TensorSpec, SparseLocoError> {
    if !matches!(shape.len(), 1 | 2) {
        return Err(SparseLocoError::Dimensions { name: name.to_owned(), got: shape.len() });
    }
    let grid = ChunkGrid::new(profile, shape)
        .ok_or_else(|| SparseLocoError::Size { name: name.to_owned(), shape: shape.to_vec() })?;
    let kept = profile.kept(k, grid.chunk_len());
    let kept_last = profile.kept(k, grid.last_chunk_len());
    let entries = start..start + (grid.num_chunks() - 1) * kept + kept_last;
    Ok(TensorSpec {
        name: name.to_owned(),
        shape: shape.to_vec(),
        grid,
        kept,
        kept_last,
        entries,
        dct: false,
    })
}

/// Hashes a schema. Lengths precede contents, so different schemas never give the same input.
fn digest(profile: Profile, k: usize, dct: bool, tensors: &[TensorSpec]) -> [u8; 8] {
    let mut text = Vec::from(profile.name());
    text.extend(number(k));
    text.extend(number(tensors.len()));
    for spec in tensors {
        text.extend(number(spec.name.len()));
        text.extend(spec.name.as_bytes());
        text.extend(number(spec.shape.len()));
        text.extend(spec.shape.iter().flat_map(|side| number(*side)));
    }
    // Appended only if set (`docs/protocol.md`): a digest without these bytes means elements.
    if dct {
        text.extend(b"dct");
    }
    let hash = blake3::hash(&text);
    let (first, _) = hash.as_bytes().split_at(8);
    first.try_into().expect("eight bytes were split off")
}

/// A number in the input of the digest.
fn number(number: usize) -> [u8; 8] {
    (number as u64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_does_not_depend_on_the_order_of_the_caller() {
        let (a, b) = (("a", &[64, 64][..]), ("b", &[100][..]));
        let schema = Schema::new(Profile::Covey, 64, [a, b]).unwrap();
        assert_eq!(schema, Schema::new(Profile::Covey, 64, [b, a]).unwrap());
        assert_eq!(
            (schema.num_entries(), schema.position("b"), schema.position("c")),
            (66, Some(1), None)
        );
    }

    #[test]
    fn different_schemas_have_different_digests() {
        let digest = |profile, k, name, shape: &[usize]| {
            Schema::new(profile, k, [(name, shape)]).unwrap().digest()
        };
        let base = digest(Profile::Covey, 64, "a", &[64, 64]);
        assert_ne!(base, digest(Profile::Reference, 64, "a", &[64, 64]));
        assert_ne!(base, digest(Profile::Covey, 32, "a", &[64, 64]));
        assert_ne!(base, digest(Profile::Covey, 64, "b", &[64, 64]));
        assert_ne!(base, digest(Profile::Covey, 64, "a", &[4096]));
        assert_ne!(
            base,
            Schema::with_dct(Profile::Covey, 64, [("a", &[64, 64][..])]).unwrap().digest()
        );
    }

    #[test]
    fn tensors_without_chunks_are_rejected() {
        let rejection = |tensors: &[(&'static str, &'static [usize])]| {
            Schema::new(Profile::Covey, 64, tensors.iter().copied()).unwrap_err()
        };
        assert!(matches!(
            rejection(&[("a", &[2]), ("a", &[3])]),
            SparseLocoError::Duplicate { .. }
        ));
        assert!(matches!(
            rejection(&[("a", &[2, 2, 2])]),
            SparseLocoError::Dimensions { got: 3, .. }
        ));
        assert!(matches!(rejection(&[("a", &[0, 4])]), SparseLocoError::Size { .. }));
        assert!(matches!(rejection(&[("a", &[usize::MAX, 4])]), SparseLocoError::Size { .. }));
    }
}
