//! The cuts of one unit after another, chosen such that in the end all members own about the same
//! number of elements.

use super::slab::ParameterSize;

/// The end of the range of each member in a unit, in elements of the unit. The last range ends with
/// the unit.
///
/// Each member receives what it lacks of an even share of all units so far, rounded to the nearest
/// place at which a parameter may be cut. So each unit corrects the rounding of those before.
pub(super) fn cut(sizes: &[ParameterSize], owned: &[usize]) -> Vec<usize> {
    let unit: usize = sizes.iter().map(|size| size.elements).sum();
    let total = unit + owned.iter().sum::<usize>();
    let even = even_shares(total, owned.len());
    // Saturates: a member may already own more than its share, because a cut was rounded up.
    let lacking: Vec<usize> =
        even.zip(owned).map(|(share, owned)| share.saturating_sub(*owned)).collect();
    let all: usize = lacking.iter().sum();
    let mut sum = 0;
    let ends = lacking.iter().map(|lacking| {
        sum += lacking;
        nearest_boundary(sizes, proportion(unit, sum, all))
    });
    ends.collect()
}

/// The even share of each member; all shares add up to `total`.
fn even_shares(total: usize, members: usize) -> impl Iterator<Item = usize> {
    (0..members).map(move |member| {
        proportion(total, member + 1, members) - proportion(total, member, members)
    })
}

/// `whole * part / parts`, rounded down.
fn proportion(whole: usize, part: usize, parts: usize) -> usize {
    // 128 bits: the product of two numbers of elements overflows 64 bits for large models.
    (whole as u128 * part as u128 / parts.max(1) as u128) as usize
}

/// The place nearest to `target` at which a parameter may be cut; of two equally near the lower
/// one.
fn nearest_boundary(sizes: &[ParameterSize], target: usize) -> usize {
    let mut start = 0;
    for size in sizes {
        let inside = target - start;
        if inside <= size.elements {
            let low = inside / size.alignment * size.alignment;
            // The last run of a parameter may be shorter than its alignment.
            let high = (low + size.alignment).min(size.elements);
            return start + if inside - low <= high - inside { low } else { high };
        }
        start += size.elements;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(elements: usize, alignment: usize) -> ParameterSize {
        ParameterSize { elements, alignment }
    }

    #[test]
    fn boundaries_are_multiples_of_the_alignment() {
        let sizes = [size(10, 4), size(6, 6)];
        let nearest: Vec<usize> = (0..=16).map(|target| nearest_boundary(&sizes, target)).collect();
        assert_eq!(nearest, [0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 10, 10, 10, 10, 16, 16, 16]);
    }

    #[test]
    fn each_unit_corrects_the_rounding_of_earlier_units() {
        let (whole, fine) = ([size(8, 8)], [size(8, 1)]);
        assert_eq!(cut(&whole, &[0, 0]), [0, 8]);
        assert_eq!(cut(&whole, &[0, 8]), [8, 8]);
        assert_eq!(cut(&fine, &[0, 8]), [8, 8]);
        assert_eq!(cut(&fine, &[8, 8]), [4, 8]);
        assert_eq!(cut(&fine, &[0, 0, 3]), [3, 7, 8]);
    }
}
