//! Range asymmetric numeral systems (rANS; Duda, arXiv 1311.2540): a symbol of probability
//! `frequency / 2^scale` costs its information content in bits.
//!
//! A lane is one 32-bit state. It emits 16-bit words when it grows and consumes them when it
//! shrinks. Encoding inverts decoding step by step, so the encoder walks backwards. Every step can
//! be inverted exactly. If decoding ends in the initial state of the encoder with no word left, the
//! stream is the one that the encoder writes: no second encoding exists.

/// Lower bound of a state between symbols, and the initial state of the encoder.
pub(crate) const LOWER: u32 = 1 << 16;

/// The range of a symbol, prepared for encoding: a product replaces the division by its frequency.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SymbolRange {
    start: u32,
    frequency: u32,
    reciprocal: u64,
}

/// Binary places of a reciprocal. `frequency * reciprocal` exceeds `2^48` by less than `frequency`,
/// which is at most `2^16`; times a state below `2^32` the excess stays below `2^48`, so all
/// quotients are exact.
const RECIPROCAL_BITS: u32 = 48;

impl SymbolRange {
    /// Creates the range of `frequency` slots, more than 0 and at most `2^16`.
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
    /// Allocates space for that many symbols.
    pub(crate) fn new(num_symbols: usize) -> Self {
        // A symbol emits at most one word. The additional word takes the store of `push` that does
        // not count.
        Self { words: vec![0; num_symbols + 1], first: num_symbols + 1 }
    }

    /// Encodes a symbol into a state. Its range must end at `2^scale` or before; `scale` is at most
    /// 16.
    ///
    /// # Panics
    ///
    /// If more symbols are written than [`WordWriter::new`] allocated space for.
    #[inline(always)]
    pub(crate) fn push(&mut self, state: &mut u32, range: &SymbolRange, scale: u32) {
        let long = u64::from(*state) >= u64::from(range.frequency) << (32 - scale);
        // The store is unconditional and only the count depends on `long`: a branch on it could not
        // be predicted.
        self.words[self.first - 1] = *state as u16;
        self.first -= usize::from(long);
        let short = if long { *state >> 16 } else { *state };
        let quotient =
            ((u128::from(short) * u128::from(range.reciprocal)) >> RECIPROCAL_BITS) as u32;
        *state = (quotient << scale) + (short - quotient * range.frequency) + range.start;
    }

    /// Returns the words in the order of reading.
    pub(crate) fn finish(mut self) -> Vec<u16> {
        self.words.drain(..self.first);
        self.words
    }
}

/// The words of a segment, which all lanes read in turn. Past the end it reads zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WordReader<'a> {
    words: &'a [u16],
    next: usize,
}

impl<'a> WordReader<'a> {
    pub(crate) fn new(words: &'a [u16]) -> Self {
        Self { words, next: 0 }
    }

    /// Decodes a symbol from a state and returns the next state; `offset` is the place inside the
    /// range of the symbol.
    #[inline(always)]
    pub(crate) fn pop(&mut self, state: u32, offset: u32, frequency: u32, scale: u32) -> u32 {
        // Damaged payloads can reach any state, so the arithmetic wraps; `check_end` of the segment
        // rejects them.
        let state = frequency.wrapping_mul(state >> scale).wrapping_add(offset);
        let refilled = state << 16 | u32::from(self.words.get(self.next).copied().unwrap_or(0));
        let short = state < LOWER;
        self.next += usize::from(short);
        if short { refilled } else { state }
    }

    /// Returns true if exactly all words were read.
    pub(crate) fn is_finished(&self) -> bool {
        self.next == self.words.len()
    }
}

/// Returns integers in proportion to `weights`, each at least 1, with sum `total`. Integer
/// arithmetic only, so every peer gets the same result.
pub(crate) fn frequencies(weights: &[u64], total: u32) -> Vec<u32> {
    let sum = weights.iter().map(|weight| u128::from(*weight)).sum::<u128>().max(1);
    let mut frequencies: Vec<u32> = weights
        .iter()
        .map(|weight| ((u128::from(*weight) * u128::from(total) / sum) as u32).max(1))
        .collect();
    // The first of the largest absorbs the rounding error. It exceeds by far the 1 per symbol that
    // it may have to give up. `max` returns the last of equals, hence `rev`.
    let given: u32 = frequencies.iter().sum();
    if let Some(largest) = frequencies.iter_mut().rev().max() {
        *largest = *largest + total - given;
    }
    frequencies
}

/// The cost of a symbol, `bits - log2(frequency)`, in 1/65536 bits. Integer arithmetic only.
pub(crate) fn cost(frequency: u32, bits: u32) -> u64 {
    let whole = frequency.ilog2();
    let mut mantissa = u64::from(frequency) << (31 - whole);
    let mut logarithm = u64::from(whole);
    // One bit of the logarithm per squaring: if the square of a mantissa reaches 2, the bit is 1. A
    // library logarithm would round differently on some machines, and encoders would choose other
    // models.
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
    fn decoding_inverts_encoding() {
        let ranges = [(0, 1), (1, 200), (201, 311), (512 - 512, 512)];
        let symbols: Vec<usize> = (0..2000_usize).map(|i| i * i % 7 % 4).collect();
        let (mut state, mut writer) = (LOWER, WordWriter::new(symbols.len()));
        for symbol in symbols.iter().rev() {
            let (start, frequency) = ranges[*symbol];
            writer.push(&mut state, &SymbolRange::new(start, frequency), 9);
        }
        let words = writer.finish();
        let mut reader = WordReader::new(&words);
        for symbol in symbols {
            let (start, frequency) = ranges[symbol];
            let slot = state & 511;
            assert!((start..start + frequency).contains(&slot));
            state = reader.pop(state, slot - start, frequency, 9);
        }
        assert_eq!((state, reader.is_finished()), (LOWER, true));
    }

    #[test]
    fn division_by_reciprocal_is_exact() {
        for frequency in [1, 2, 3, 5, 7, 511, 512, 4095, 4096, 65_535, 65_536] {
            let range = SymbolRange::new(0, frequency);
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
    fn frequencies_sum_to_the_total() {
        for weights in [&[5, 0, 0, 900][..], &[1], &[0, 0], &[1; 44], &[u64::MAX; 3]] {
            let frequencies = frequencies(weights, 256);
            assert_eq!(frequencies.iter().sum::<u32>(), 256, "{weights:?}");
            assert!(frequencies.iter().all(|frequency| *frequency >= 1));
        }
    }

    #[test]
    fn cost_is_the_information_content() {
        for frequency in [1, 2, 3, 100, 4095, 4096] {
            let exact = 12.0 - f64::from(frequency).log2();
            assert!((cost(frequency, 12) as f64 / 65536.0 - exact).abs() < 1e-3, "{frequency}");
        }
    }
}
