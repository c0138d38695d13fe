//! Range asymmetric numeral systems: a symbol of probability `frequency / 2^scale` costs its information in bits.
//!
//! A lane is one 32-bit state that gives 16-bit words away when it grows and takes them when it shrinks. Writing undoes
//! reading step by step, so the encoder walks backwards. As every step is exactly reversible, a stream that leaves the
//! decoder in the encoder's first state with no word over is the very stream the encoder writes: there is no second
//! encoding to look for.

/// Least value of a state between symbols, and the encoder's first one.
pub(crate) const LOWER: u32 = 1 << 16;

/// The range of a symbol, made ready for writing: its states are divided by a product.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range {
    start: u32,
    frequency: u32,
    reciprocal: u64,
}

/// Binary places of a reciprocal. Rounding up errs by less than a frequency, so quotients of all states are exact: a
/// state below `2^32` times a frequency of at most `2^16` stays within `2^48`.
const RECIPROCAL_BITS: u32 = 48;

impl Range {
    /// A range of `frequency` slots, more than 0 and at most `2^16`.
    pub(crate) fn new(start: u32, frequency: u32) -> Self {
        Self {
            start,
            frequency,
            reciprocal: (1_u64 << RECIPROCAL_BITS).div_ceil(u64::from(frequency)),
        }
    }
}

/// The words of a segment, written from the last to the first.
#[derive(Debug)]
pub(crate) struct WordWriter {
    words: Vec<u16>,
    first: usize,
}

impl WordWriter {
    /// Room for that many symbols: none gives more than one word away.
    pub(crate) fn new(num_symbols: usize) -> Self {
        Self { words: vec![0; num_symbols + 1], first: num_symbols + 1 }
    }

    /// Puts a symbol onto a state. Its range ends at `2^scale` at most, `scale` is at most 16.
    ///
    /// # Panics
    ///
    /// If there are more symbols than room was asked for.
    #[inline(always)]
    pub(crate) fn push(&mut self, state: &mut u32, range: &Range, scale: u32) {
        let long = u64::from(*state) >= u64::from(range.frequency) << (32 - scale);
        // Written always, counted sometimes: no branch to guess wrong.
        self.words[self.first - 1] = *state as u16;
        self.first -= usize::from(long);
        let short = if long { *state >> 16 } else { *state };
        let quotient =
            ((u128::from(short) * u128::from(range.reciprocal)) >> RECIPROCAL_BITS) as u32;
        *state = (quotient << scale) + (short - quotient * range.frequency) + range.start;
    }

    /// The words in the order of reading.
    pub(crate) fn finish(mut self) -> Vec<u16> {
        self.words.drain(..self.first);
        self.words
    }
}

/// The words of a segment, read one after the other by all lanes; zeros after the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    words: &'a [u16],
    next: usize,
}

impl<'a> Words<'a> {
    pub(crate) fn new(words: &'a [u16]) -> Self {
        Self { words, next: 0 }
    }

    /// Takes a symbol off a state; `offset` is its place inside the symbol's range.
    #[inline(always)]
    pub(crate) fn pop(&mut self, state: u32, offset: u32, frequency: u32, scale: u32) -> u32 {
        let state = frequency.wrapping_mul(state >> scale).wrapping_add(offset);
        let refilled = state << 16 | u32::from(self.words.get(self.next).copied().unwrap_or(0));
        let short = state < LOWER;
        self.next += usize::from(short);
        if short { refilled } else { state }
    }

    /// Whether every word was taken, and none beyond.
    pub(crate) fn is_finished(&self) -> bool {
        self.next == self.words.len()
    }
}

/// Whole numbers in proportion to `weights`, each at least 1, together `total`. Pure integer arithmetic, so everybody
/// gets the same.
pub(crate) fn frequencies(weights: &[u64], total: u32) -> Vec<u32> {
    let sum = weights.iter().map(|weight| u128::from(*weight)).sum::<u128>().max(1);
    let share = |weight: &u64| (u128::from(*weight) * u128::from(total) / sum) as u32;
    let mut frequencies: Vec<u32> = weights.iter().map(|weight| share(weight).max(1)).collect();
    // The largest takes what rounding left over; it is far above the one per symbol that it may have to give.
    let given: u32 = frequencies.iter().sum();
    if let Some(largest) = frequencies.iter_mut().rev().max() {
        *largest = *largest + total - given;
    }
    frequencies
}

/// `bits - log2(frequency)` in 1/65536 bits: what a symbol costs. Pure integer arithmetic.
pub(crate) fn cost(frequency: u32, bits: u32) -> u64 {
    let whole = frequency.ilog2();
    let mut mantissa = u64::from(frequency) << (31 - whole);
    let mut logarithm = u64::from(whole);
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 31;
        let carry = mantissa >> 32;
        mantissa >>= carry;
        logarithm = logarithm << 1 | carry;
    }
    (u64::from(bits) << 16) - logarithm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_come_back() {
        let ranges = [(0, 1), (1, 200), (201, 311), (512 - 512, 512)];
        let symbols: Vec<usize> = (0..2000_usize).map(|i| i * i % 7 % 4).collect();
        let (mut state, mut writer) = (LOWER, WordWriter::new(symbols.len()));
        for symbol in symbols.iter().rev() {
            let (start, frequency) = ranges[*symbol];
            writer.push(&mut state, &Range::new(start, frequency), 9);
        }
        let words = writer.finish();
        let mut reader = Words::new(&words);
        for symbol in symbols {
            let (start, frequency) = ranges[symbol];
            let slot = state & 511;
            assert!((start..start + frequency).contains(&slot));
            state = reader.pop(state, slot - start, frequency, 9);
        }
        assert_eq!((state, reader.is_finished()), (LOWER, true));
    }

    #[test]
    fn products_divide_exactly() {
        for frequency in [1, 2, 3, 5, 7, 511, 512, 4095, 4096, 65_535, 65_536] {
            let range = Range::new(0, frequency);
            for near in [1, frequency, 65_536, 1 << 31, u32::MAX / frequency * frequency, u32::MAX]
            {
                for state in [near - 1, near, near.saturating_add(1)] {
                    let quotient =
                        (u128::from(state) * u128::from(range.reciprocal)) >> RECIPROCAL_BITS;
                    assert_eq!(quotient, u128::from(state / frequency), "{state} by {frequency}");
                }
            }
        }
    }

    #[test]
    fn frequencies_fill_the_total() {
        for weights in [&[5, 0, 0, 900][..], &[1], &[0, 0], &[1; 44], &[u64::MAX; 3]] {
            let frequencies = frequencies(weights, 256);
            assert_eq!(frequencies.iter().sum::<u32>(), 256, "{weights:?}");
            assert!(frequencies.iter().all(|frequency| *frequency >= 1));
        }
    }

    #[test]
    fn cost_is_the_information() {
        for frequency in [1, 2, 3, 100, 4095, 4096] {
            let exact = 12.0 - f64::from(frequency).log2();
            assert!((cost(frequency, 12) as f64 / 65536.0 - exact).abs() < 1e-3, "{frequency}");
        }
    }
}
