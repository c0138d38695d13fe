//! What every peer of a run knows of every delta before it arrives.

use std::ops::Range;

use super::config::Profile;
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
    /// Name on disk and in the order of tensors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One or two sides.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its chunks.
    pub fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    /// Values sent of every chunk but a shorter last one.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Values sent of the last chunk.
    pub fn kept_last(&self) -> usize {
        self.kept_last
    }

    /// Place of its entries among all entries of a delta.
    pub fn entries(&self) -> Range<usize> {
        self.entries.clone()
    }

    /// What turns elements into the frequencies that are sent, if the schema asks for it and this is a matrix.
    pub fn transform(&self) -> Option<Dct<'_>> {
        Dct::new(&self.grid).filter(|_| self.dct && self.shape.len() == 2)
    }

    /// Its slabs.
    pub fn num_slabs(&self) -> usize {
        self.grid.len().div_ceil(self.grid.slab_len())
    }

    /// Entries of a slab; the last slab of a vector may have fewer.
    pub fn entries_per_slab(&self) -> usize {
        self.kept * self.grid.chunks_per_slab()
    }

    /// The elements that these slabs consist of.
    pub fn elements_of(&self, slabs: &Range<usize>) -> Range<usize> {
        let end = |slabs: usize| (slabs * self.grid.slab_len()).min(self.grid.len());
        end(slabs.start)..end(slabs.end)
    }

    /// Places of these slabs' entries among those of the tensor.
    pub fn entries_of(&self, slabs: &Range<usize>) -> Range<usize> {
        let end = |slabs: usize| (slabs * self.entries_per_slab()).min(self.entries.len());
        end(slabs.start)..end(slabs.end)
    }

    /// Elements of a chunk that sends `kept` values: only the last one is shorter, and it alone sends fewer.
    pub(crate) fn chunk_len(&self, chunk: usize) -> usize {
        if chunk + 1 == self.grid.num_chunks() {
            self.grid.last_chunk_len()
        } else {
            self.grid.chunk_len()
        }
    }
}

/// The tensors of a run, cut into chunks: the form of every delta.
///
/// - Tensors are sorted by name (bytes), whatever the order they were given in: sums over tensors and bytes on the wire
///   follow this order.
/// - It depends on names, shapes, [`Profile`], `k` and the transform alone, all of which a run fixes at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    profile: Profile,
    k: usize,
    dct: bool,
    tensors: Vec<TensorSpec>,
    digest: [u8; 8],
}

impl Schema {
    /// The schema of tensors by name and shape.
    ///
    /// # Errors
    ///
    /// Names that occur twice and shapes that cannot be cut into chunks.
    pub fn new<'a>(
        profile: Profile,
        k: usize,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<Self, SparseLocoError> {
        Self::cut(profile, k, false, tensors)
    }

    /// As [`Schema::new`], but of every block of a matrix the frequencies are sent, not the elements.
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
        let digest = digest(profile, k, dct, &specs);
        Ok(Self { profile, k, dct, tensors: specs, digest })
    }

    /// Rules of chunks and levels.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Values sent of a chunk of 4096.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Whether frequencies of matrices are sent instead of elements.
    pub fn dct(&self) -> bool {
        self.dct
    }

    /// The tensors, sorted by name.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// Place of a tensor in the order by name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.tensors.binary_search_by(|spec| spec.name.as_str().cmp(name)).ok()
    }

    /// Values that a delta sends, over all tensors.
    pub fn num_entries(&self) -> usize {
        self.tensors.last().map_or(0, |spec| spec.entries.end)
    }

    /// Elements of all tensors.
    pub fn num_elements(&self) -> usize {
        self.tensors.iter().map(|spec| spec.grid.len()).sum()
    }

    /// First 8 bytes of the BLAKE3 hash of all that a schema depends on.
    pub fn digest(&self) -> [u8; 8] {
        self.digest
    }

    /// Holds the length of each tensor against the schema's; `what` names them in the error.
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

/// Lengths go before contents, so that no two schemas are the same text.
fn digest(profile: Profile, k: usize, dct: bool, tensors: &[TensorSpec]) -> [u8; 8] {
    let mut text = Vec::from(profile.name());
    let number = |text: &mut Vec<u8>, number: usize| text.extend((number as u64).to_le_bytes());
    number(&mut text, k);
    number(&mut text, tensors.len());
    for spec in tensors {
        number(&mut text, spec.name.len());
        text.extend(spec.name.as_bytes());
        number(&mut text, spec.shape.len());
        spec.shape.iter().for_each(|side| number(&mut text, *side));
    }
    if dct {
        text.extend(b"dct");
    }
    let hash = blake3::hash(&text);
    let (first, _) = hash.as_bytes().split_at(8);
    first.try_into().expect("eight bytes were split off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_tensors_given_does_not_matter() {
        let (a, b) = (("a", &[64, 64][..]), ("b", &[100][..]));
        let schema = Schema::new(Profile::Covey, 64, [a, b]).unwrap();
        assert_eq!(schema, Schema::new(Profile::Covey, 64, [b, a]).unwrap());
        assert_eq!(
            (schema.num_entries(), schema.position("b"), schema.position("c")),
            (66, Some(1), None)
        );
    }

    #[test]
    fn digest_tells_schemas_apart() {
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
    fn odd_tensors_are_refused() {
        let refused = |tensors: &[(&'static str, &'static [usize])]| {
            Schema::new(Profile::Covey, 64, tensors.iter().copied()).unwrap_err()
        };
        assert!(matches!(refused(&[("a", &[2]), ("a", &[3])]), SparseLocoError::Duplicate { .. }));
        assert!(matches!(
            refused(&[("a", &[2, 2, 2])]),
            SparseLocoError::Dimensions { got: 3, .. }
        ));
        assert!(matches!(refused(&[("a", &[0, 4])]), SparseLocoError::Size { .. }));
        assert!(matches!(refused(&[("a", &[usize::MAX, 4])]), SparseLocoError::Size { .. }));
    }
}
