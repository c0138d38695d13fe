//! The largest values of a chunk.

use multiversion::multiversion;

use super::delta::Entry;

/// Elements whose largest one is looked at before themselves.
const GROUP: usize = 16;

/// Finds the `kept` values of largest magnitude; owns the room it needs to do so.
///
/// - Of equal magnitudes the one at the lower position goes first.
/// - Positions come out ascending.
/// - Magnitudes are compared as bit patterns, so a NaN counts as larger than infinity. Compressors refuse both before.
///
/// Cost: the `kept`-th largest of all groups' maxima cannot exceed the `kept`-th largest value, so only what reaches it
/// needs a closer look: about 75 of 4096 values at `kept` = 64, whatever their distribution.
#[derive(Debug, Default)]
pub struct Selector {
    maxima: Vec<u32>,
    ranked: Vec<u32>,
    candidates: Vec<u64>,
    order: Vec<u64>,
}

impl Selector {
    /// Writes the positions of the largest `entries.len()` of at most 4096 values, with code 0.
    ///
    /// # Panics
    ///
    /// If more entries than values are asked for.
    pub fn select(&mut self, values: &[f32], entries: &mut [Entry]) {
        assert!(entries.len() <= values.len(), "more entries than values");
        if entries.len() == values.len() {
            return entries.iter_mut().enumerate().for_each(|(position, entry)| *entry = Entry::new(position, 0));
        }
        if entries.is_empty() {
            return;
        }
        let least = self.least_magnitude(values, entries.len());
        self.collect(values, least);
        let last = self.last_kept(entries.len());
        let kept = self.candidates.iter().filter(|candidate| **candidate >= last);
        for (entry, candidate) in entries.iter_mut().zip(kept) {
            *entry = Entry::new(!*candidate as u32 as usize, 0);
        }
    }

    /// A magnitude that at least `kept` values reach.
    fn least_magnitude(&mut self, values: &[f32], kept: usize) -> u32 {
        self.maxima.resize(values.len().div_ceil(GROUP), 0);
        group_maxima(values, &mut self.maxima);
        if self.maxima.len() < kept {
            return 0;
        }
        self.ranked.clear();
        self.ranked.extend_from_slice(&self.maxima);
        *self.ranked.select_nth_unstable_by(kept - 1, |a, b| b.cmp(a)).1
    }

    /// All values of at least that magnitude, as numbers that sort by magnitude, then by falling position.
    fn collect(&mut self, values: &[f32], least: u32) {
        self.candidates.resize(values.len() + 1, 0);
        let mut count = 0;
        for (group, _) in self.maxima.iter().enumerate().filter(|(_, max)| **max >= least) {
            let start = group * GROUP;
            let members = &values[start..values.len().min(start + GROUP)];
            for (position, value) in (start..).zip(members) {
                // Written always, counted sometimes: no branch to guess wrong.
                self.candidates[count] = u64::from(magnitude(*value)) << 32 | u64::from(!(position as u32));
                count += usize::from(magnitude(*value) >= least);
            }
        }
        self.candidates.truncate(count);
    }

    /// The candidate that just belongs to the `kept` largest.
    fn last_kept(&mut self, kept: usize) -> u64 {
        self.order.clear();
        self.order.extend_from_slice(&self.candidates);
        *self.order.select_nth_unstable_by(kept - 1, |a, b| b.cmp(a)).1
    }
}

/// The bit pattern without its sign: ordered as magnitudes are.
fn magnitude(value: f32) -> u32 {
    value.to_bits() & 0x7fff_ffff
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn group_maxima(values: &[f32], maxima: &mut [u32]) {
    let (groups, rest) = values.as_chunks::<GROUP>();
    for (group, max) in groups.iter().zip(maxima.iter_mut()) {
        *max = group.iter().fold(0, |max, value| max.max(value.to_bits() & 0x7fff_ffff));
    }
    if let (false, Some(max)) = (rest.is_empty(), maxima.last_mut()) {
        *max = rest.iter().fold(0, |max, value| max.max(value.to_bits() & 0x7fff_ffff));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn positions(values: &[f32], kept: usize) -> Vec<usize> {
        let mut entries = vec![Entry::default(); kept];
        Selector::default().select(values, &mut entries);
        entries.into_iter().map(Entry::position).collect()
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
