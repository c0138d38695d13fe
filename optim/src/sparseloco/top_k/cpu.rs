//! The largest values of a chunk.

use multiversion::multiversion;

use crate::sparseloco::config::CHUNK_LIMIT;
use crate::sparseloco::delta::CodedValue;

/// Elements that are compared at once.
const LANES: usize = 16;

/// Elements of a row of groups: a group is those at one lane, sixteen lanes apart.
const BLOCK: usize = 16 * LANES;

/// Elements whose comparisons make one word, a bit each.
const WORD: usize = 64;

/// Bits of a word that are taken at once.
const UNROLLED: usize = 4;

/// Finds the values of largest magnitude; owns the room it needs to do so.
///
/// - Of equal magnitudes the one at the lower position goes first.
/// - Positions come out ascending.
/// - Magnitudes are compared as bit patterns, so a NaN counts as larger than infinity. Compressors refuse both before.
///
/// Cost: values are grouped, and the `kept`-th largest of all groups' maxima cannot exceed the `kept`-th largest value, so
/// only what reaches it needs a closer look: about 75 of 4096 values at `kept` = 64, whatever their distribution. Ranks
/// are found by halving the range of bit patterns and counting, which takes no branch that could be guessed wrong.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    maxima: Vec<u32>,
    words: Vec<u64>,
    positions: Vec<u16>,
    magnitudes: Vec<u32>,
}

impl Selector {
    /// Writes the positions of the largest `entries.len()` of at most 4096 values, with code 0.
    ///
    /// # Panics
    ///
    /// If more entries than values are asked for, or of more than 4096 values.
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

    /// A magnitude that at least `kept` values reach, and not many more.
    fn least_magnitude(&mut self, values: &[f32], kept: usize) -> u32 {
        self.maxima.resize(values.len().div_ceil(BLOCK) * LANES, 0);
        group_maxima(values, &mut self.maxima);
        // A few values too many cost less than the last steps to exactly as many.
        rank(&self.maxima, kept, kept + kept / 8)
    }

    /// All values of at least that magnitude.
    fn collect(&mut self, values: &[f32], least: u32) {
        self.words.resize(values.len().div_ceil(WORD), 0);
        compare(values, least, &mut self.words);
        let count: u32 = self.words.iter().map(|word| word.count_ones()).sum();
        self.positions.resize(count as usize + UNROLLED, 0);
        let mut next = 0;
        for (word, bits) in self.words.iter().enumerate() {
            let (mut bits, start, end) = (*bits, WORD * word, next + bits.count_ones() as usize);
            // Written always, counted sometimes: most words hold few bits, but one does not know how many.
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

    /// The largest of the collected values.
    fn emit(&mut self, entries: &mut [CodedValue]) {
        let last = rank(&self.magnitudes, entries.len(), entries.len());
        let above = self.magnitudes.iter().filter(|magnitude| **magnitude > last).count();
        let mut ties = entries.len() - above;
        let mut count = 0;
        for (place, magnitude) in self.magnitudes.iter().enumerate() {
            let tie = *magnitude == last && ties > 0;
            ties -= usize::from(tie);
            self.positions[count] = self.positions[place];
            count += usize::from(*magnitude > last || tie);
        }
        let kept = entries.iter_mut().zip(&self.positions);
        kept.for_each(|(entry, position)| *entry = CodedValue::new(usize::from(*position), 0));
    }
}

/// The bit pattern without its sign: ordered as magnitudes are.
#[inline(always)]
fn magnitude(value: f32) -> u32 {
    value.to_bits() & 0x7fff_ffff
}

/// A number that at least `kept` and at most `enough` magnitudes reach, if there is one; else the largest that at least
/// `kept` reach; 0 if there are not so many.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn rank(magnitudes: &[u32], kept: usize, enough: usize) -> u32 {
    if magnitudes.len() < kept {
        return 0;
    }
    let mut low = magnitudes.iter().fold(u32::MAX, |least, magnitude| least.min(*magnitude));
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

/// The largest magnitude of each group; those of missing values are 0.
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

/// The largest magnitude of each lane: half of the block against the other half, until one row is left.
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

/// Which values reach a magnitude, a bit each.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn compare(values: &[f32], least: u32, words: &mut [u64]) {
    let bit = |(place, value): (usize, &f32)| u64::from(magnitude(*value) >= least) << place;
    let (whole, rest) = values.as_chunks::<WORD>();
    for (word, values) in words.iter_mut().zip(whole) {
        *word = values.iter().enumerate().map(bit).fold(0, |word, bit| word | bit);
    }
    if let (false, Some(word)) = (rest.is_empty(), words.last_mut()) {
        *word = rest.iter().enumerate().map(bit).fold(0, |word, bit| word | bit);
    }
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
        fn selection_is_what_sorting_gives(
            // Few distinct values, so that ties are common.
            values in proptest::collection::vec((-9_i8..10).prop_map(f32::from), 1..700),
            share in 0.0..=1.0_f64,
        ) {
            let kept = (values.len() as f64 * share) as usize;
            prop_assert_eq!(positions(&values, kept), by_sorting(&values, kept));
        }

        #[test]
        fn whole_chunks_too(values in proptest::collection::vec(-1.0..1.0_f32, 4096)) {
            prop_assert_eq!(positions(&values, 64), by_sorting(&values, 64));
        }
    }
}
