//! The places at which a tensor may be cut: between slabs, so every chunk of the compression has
//! one owner.

use crate::sparseloco::Profile;
use crate::sparseloco::chunks::ChunkGrid;

/// The length of a parameter, and the places at which it may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterSize {
    /// Number of elements.
    pub elements: usize,
    /// Cuts are at multiples of this number of elements, see [`slab_alignment`].
    pub alignment: usize,
}

/// The alignment of cuts in a tensor of `shape`, in elements, for both profiles.
///
/// - A matrix is cut between slabs: at most 64 rows, the same in both profiles.
/// - A vector is cut at common multiples of the chunk lengths of both profiles; a vector of up to
///   4096 elements is not cut.
/// - Tensors of other shapes are not compressed and not cut.
pub fn slab_alignment(shape: &[usize]) -> usize {
    let elements = shape.iter().fold(1_usize, |product, side| product.saturating_mul(*side));
    // Valid for both profiles, so the plan of a model does not depend on the profile of a run.
    let [reference, covey] = [Profile::Reference, Profile::Covey]
        .map(|profile| ChunkGrid::new(profile, shape).map_or(elements, |grid| grid.slab_len()));
    common_multiple(reference, covey).min(elements)
}

/// The least common multiple of two positive numbers.
fn common_multiple(a: usize, b: usize) -> usize {
    // Euclid's algorithm.
    let (mut divisor, mut rest) = (a, b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor.max(1)).saturating_mul(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignments_are_whole_slabs_of_both_profiles() {
        for shape in [
            &[128, 192][..],
            &[100, 36],
            &[67, 64],
            &[1, 1],
            &[96],
            &[4096],
            &[5000],
            &[131],
            &[128 * 1024],
        ] {
            for profile in [Profile::Reference, Profile::Covey] {
                let (grid, alignment) =
                    (ChunkGrid::new(profile, shape).unwrap(), slab_alignment(shape));
                assert!(
                    alignment == grid.len() || alignment.is_multiple_of(grid.slab_len()),
                    "{shape:?}"
                );
            }
        }
    }

    #[test]
    fn matrices_are_cut_after_64_rows_and_short_vectors_not_at_all() {
        assert_eq!(slab_alignment(&[128, 192]), 64 * 192);
        assert_eq!(slab_alignment(&[100, 36]), 50 * 36);
        assert_eq!(
            (slab_alignment(&[96]), slab_alignment(&[4096]), slab_alignment(&[128 * 1024])),
            (96, 4096, 4096)
        );
        // A prime length: chunks of 1 in the reference profile, of 4096 in `covey`.
        assert_eq!(
            (slab_alignment(&[8191]), slab_alignment(&[2, 3, 4]), slab_alignment(&[0])),
            (4096, 24, 0)
        );
    }
}
