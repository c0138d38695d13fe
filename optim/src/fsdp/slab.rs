//! Where a tensor may be cut: between slabs, so that no chunk of the compression lies on two members.

use crate::sparseloco::Profile;
use crate::sparseloco::chunks::ChunkGrid;

/// Elements of the shortest run of a tensor of `shape` that cuts leave whole, whichever profile a run has.
///
/// - A matrix is cut between slabs: at most 64 rows, the same in both profiles.
/// - A vector is cut after common multiples of the chunks of both profiles; one of up to 4096 elements is not cut.
/// - Tensors of other shapes are not compressed and stay whole.
pub fn slab_alignment(shape: &[usize]) -> usize {
    let elements = shape.iter().fold(1_usize, |product, side| product.saturating_mul(*side));
    let slab = |profile| ChunkGrid::new(profile, shape).map_or(elements, |grid| grid.slab_len());
    common_multiple(slab(Profile::Reference), slab(Profile::Covey)).min(elements)
}

fn common_multiple(a: usize, b: usize) -> usize {
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
    fn grains_are_whole_slabs_of_both_profiles() {
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
        // A prime length: the reference takes it element by element, ours in chunks of 4096.
        assert_eq!(
            (slab_alignment(&[8191]), slab_alignment(&[2, 3, 4]), slab_alignment(&[0])),
            (4096, 24, 0)
        );
    }
}
