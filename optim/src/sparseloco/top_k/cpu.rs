//! Top-k of one chunk on the CPU.

use multiversion::multiversion;

use crate::sparseloco::config::CHUNK_LIMIT;
use crate::sparseloco::delta::CodedValue;

/// Elements that are compared at once: one AVX-512 register.
const LANES: usize = 16;

/// Elements of a block of groups. A group consists of the elements of one lane of a block, 16
/// elements apart.
const BLOCK: usize = 16 * LANES;

/// Elements per word of comparison bits.
const WORD: usize = 64;

/// Bits of a word that are processed per iteration.
const UNROLLED: usize = 4;

/// Finds the values of largest magnitude; owns the memory that it needs.
///
/// - Of equal magnitudes the lower position is selected.
/// - Positions ascend.
/// - Magnitudes are compared as bit patterns, so NaN is larger than infinity. Compressors reject
///   both before.
///
/// Cost: values are grouped. The `kept`-th largest maximum of a group is at most the `kept`-th
/// largest value, so only values that reach it are candidates: about 75 of 4096 values at `kept` =
/// 64, for any distribution. Ranks are found by bisection of the range of bit patterns and
/// counting, without unpredictable branches.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    maxima: Vec<u32>,
    words: Vec<u64>,
    positions: Vec<u16>,
    magnitudes: Vec<u32>,
}

impl Selector {
    /// Writes the positions of the `entries.len()` largest of at most 4096 values, with code 0.
    ///
    /// # Panics
    ///
    /// If there are more entries than values, or more than 4096 values.
    pub fn select(&mut self, values: &[f32], entries: &mut [CodedValue]) {
        assert!(
            entries.len() <= values.len() && values.len() <= CHUNK_LIMIT,
            "more entries than values, or too many"
        );
        if entries.len() == values.len() {
            return entries
                .iter_mut()
                .enumerate()
                .for_each(|(position, entry)| *entry = CodedValue::new(position, 0));
        }
        if entries.is_empty() {
            return;
        }
        let least = self.least_magnitude(values, entries.len());
        self.collect(values, least);
        self.emit(entries);
    }

    /// A magnitude that at least `kept` values reach, and few more.
    fn least_magnitude(&mut self, values: &[f32], kept: usize) -> u32 {
        self.maxima.resize(values.len().div_ceil(BLOCK) * LANES, 0);
        group_maxima(values, &mut self.maxima);
        // An excess of an eighth of candidates costs less than the last steps of the bisection.
        rank(&self.maxima, kept, kept + kept / 8)
    }

    /// Collects all values of at least that magnitude.
    fn collect(&mut self, values: &[f32], least: u32) {
        self.words.resize(values.len().div_ceil(WORD), 0);
        compare(values, least, &mut self.words);
        let count: u32 = self.words.iter().map(|word| word.count_ones()).sum();
        self.positions.resize(count as usize + UNROLLED, 0);
        let mut next = 0;
        for (word, bits) in self.words.iter().enumerate() {
            let (mut bits, start, end) = (*bits, WORD * word, next + bits.count_ones() as usize);
            // Four stores per iteration, of which some do not count: most words have few bits set,
            // and a loop over their exact number would be mispredicted.
            while next < end {
                for position in &mut self.positions[next..next + UNROLLED] {
                    *position = (start + bits.trailing_zeros() as usize) as u16;
                    bits &= bits.wrapping_sub(1);
                }
                next = end.min(next + UNROLLED);
            }
        }
        self.positions.truncate(count as usize);
        self.magnitudes.clear();
        self.magnitudes.extend(
            self.positions.iter().map(|position| magnitude(values[usize::from(*position)])),
        );
    }

    /// Selects the largest of the collected values.
    fn emit(&mut self, entries: &mut [CodedValue]) {
        let last = rank(&self.magnitudes, entries.len(), entries.len());
        let above = self.magnitudes.iter().filter(|magnitude| **magnitude > last).count();
        let mut ties = entries.len() - above;
        let mut count = 0;
        for (place, magnitude) in self.magnitudes.iter().enumerate() {
            // Positions ascend here, so the first ties are those at lower positions.
            let tie = *magnitude == last && ties > 0;
            ties -= usize::from(tie);
            self.positions[count] = self.positions[place];
            count += usize::from(*magnitude > last || tie);
        }
        let kept = entries.iter_mut().zip(&self.positions);
        kept.for_each(|(entry, position)| *entry = CodedValue::new(usize::from(*position), 0));
    }
}

/// The bit pattern without the sign. It orders magnitudes.
#[inline(always)]
fn magnitude(value: f32) -> u32 {
    value.to_bits() & 0x7fff_ffff
}

/// A number that at least `kept` and at most `enough` magnitudes reach. If there is none, the
/// largest number that at least `kept` magnitudes reach; 0 if there are fewer magnitudes.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn rank(magnitudes: &[u32], kept: usize, enough: usize) -> u32 {
    if magnitudes.len() < kept {
        return 0;
    }
    let mut low = magnitudes.iter().fold(u32::MAX, |least, magnitude| least.min(*magnitude));
    // Invariant: at least `kept` magnitudes reach `low`, and fewer reach `high`.
    let mut high = magnitudes.iter().fold(0, |most, magnitude| most.max(*magnitude)) + 1;
    while high.saturating_sub(low) > 1 {
        let middle = low + (high - low) / 2;
        let count = magnitudes.iter().map(|magnitude| u32::from(*magnitude >= middle)).sum::<u32>()
            as usize;
        (low, high) = if count >= kept { (middle, high) } else { (low, middle) };
        if (kept..=enough).contains(&count) {
            break;
        }
    }
    low
}

/// The largest magnitude of each group; 0 for missing values.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn group_maxima(values: &[f32], maxima: &mut [u32]) {
    let (whole, rest) = values.as_chunks::<BLOCK>();
    let (whole_maxima, rest_maxima) = maxima.as_chunks_mut::<LANES>().0.split_at_mut(whole.len());
    whole.iter().zip(whole_maxima).for_each(|(block, maxima)| *maxima = lane_maxima(block));
    if let [maxima] = rest_maxima {
        let mut block = [0.0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        *maxima = lane_maxima(&block);
    }
}

/// The largest magnitude of each lane: halves are compared until one row is left.
#[inline(always)]
fn lane_maxima(block: &[f32; BLOCK]) -> [u32; LANES] {
    let mut most = block.map(magnitude);
    let mut width = BLOCK / 2;
    while width >= LANES {
        let (low, high) = most.split_at_mut(width);
        low.iter_mut().zip(high).for_each(|(low, high)| *low = (*low).max(*high));
        width /= 2;
    }
    std::array::from_fn(|lane| most[lane])
}

/// Sets the bit of each value that reaches a magnitude.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn compare(values: &[f32], least: u32, words: &mut [u64]) {
    let (whole, rest) = values.as_chunks::<WORD>();
    for (word, values) in words.iter_mut().zip(whole) {
        *word = comparison_bits(values, least);
    }
    if let (false, Some(word)) = (rest.is_empty(), words.last_mut()) {
        *word = comparison_bits(rest, least);
    }
}

/// The comparisons of at most 64 values, one bit each.
#[inline(always)]
fn comparison_bits(values: &[f32], least: u32) -> u64 {
    values
        .iter()
        .enumerate()
        .fold(0, |word, (place, value)| word | u64::from(magnitude(*value) >= least) << place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn positions(values: &[f32], kept: usize) -> Vec<usize> {
        let mut entries = vec![CodedValue::default(); kept];
        Selector::default().select(values, &mut entries);
        entries.into_iter().map(CodedValue::position).collect()
    }

    fn by_sorting(values: &[f32], kept: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| values[*b].abs().total_cmp(&values[*a].abs()).then(a.cmp(b)));
        order.truncate(kept);
        order.sort_unstable();
        order
    }

    #[test]
    fn lower_positions_win_ties() {
        assert_eq!(positions(&[1.0, -2.0, 2.0, 1.0, -1.0], 3), [0, 1, 2]);
        assert_eq!(positions(&[0.0; 4096], 64), (0..64).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn selection_agrees_with_sorting(
            // Few distinct values, to make ties common.
            values in proptest::collection::vec((-9_i8..10).prop_map(f32::from), 1..700),
            share in 0.0..=1.0_f64,
        ) {
            let kept = (values.len() as f64 * share) as usize;
            prop_assert_eq!(positions(&values, kept), by_sorting(&values, kept));
        }

        #[test]
        fn selection_of_whole_chunks_agrees_with_sorting(
            values in proptest::collection::vec(-1.0..1.0_f32, 4096),
        ) {
            prop_assert_eq!(positions(&values, 64), by_sorting(&values, 64));
        }
    }
}
