//! Cuts of one unit after another, so that in the end all members own about the same.

use super::plan::ParameterSize;

/// Where each member's range of a unit ends, in elements of the unit; the last one ends with the unit.
///
/// Each member is given what it lacks of an even share of everything so far, to the nearest place where a parameter
/// may be cut. So a unit makes up for the rounding of those before it.
pub(super) fn cut(sizes: &[ParameterSize], owned: &[usize]) -> Vec<usize> {
    let unit: usize = sizes.iter().map(|size| size.elements).sum();
    let total = unit + owned.iter().sum::<usize>();
    let end = |member: usize| proportion(total, member, owned.len());
    let lacking = owned
        .iter()
        .enumerate()
        .map(|(member, owned)| (end(member + 1) - end(member)).saturating_sub(*owned));
    let lacking: Vec<usize> = lacking.collect();
    let all: usize = lacking.iter().sum();
    let mut sum = 0;
    let ends = lacking.iter().map(|lacking| {
        sum += lacking;
        nearest_boundary(sizes, proportion(unit, sum, all))
    });
    ends.collect()
}

/// `whole * part / parts`, rounded down.
fn proportion(whole: usize, part: usize, parts: usize) -> usize {
    (whole as u128 * part as u128 / parts.max(1) as u128) as usize
}

/// The place nearest to `target` where a grain ends; of two equally near the lower one.
fn nearest_boundary(sizes: &[ParameterSize], target: usize) -> usize {
    let mut start = 0;
    for size in sizes {
        let inside = target - start;
        if inside <= size.elements {
            let low = inside / size.alignment * size.alignment;
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
    fn boundaries_are_ends_of_grains() {
        let sizes = [size(10, 4), size(6, 6)];
        let nearest: Vec<usize> = (0..=16).map(|target| nearest_boundary(&sizes, target)).collect();
        assert_eq!(nearest, [0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 10, 10, 10, 10, 16, 16, 16]);
    }

    #[test]
    fn a_unit_makes_up_for_those_before() {
        let (whole, fine) = ([size(8, 8)], [size(8, 1)]);
        assert_eq!(cut(&whole, &[0, 0]), [0, 8]);
        assert_eq!(cut(&whole, &[0, 8]), [8, 8]);
        assert_eq!(cut(&fine, &[0, 8]), [8, 8]);
        assert_eq!(cut(&fine, &[8, 8]), [4, 8]);
        assert_eq!(cut(&fine, &[0, 0, 3]), [3, 7, 8]);
    }
}
