//! Range asymmetric numeral systems: a symbol of probability `frequency / 2^scale` costs its information in bits.
//!
//! A lane is one 32-bit state that gives 16-bit words away when it grows and takes them when it shrinks. Writing undoes
//! reading step by step, so the encoder walks backwards. As every step is exactly reversible, a stream that leaves the
//! decoder in the encoder's first state with no word over is the very stream the encoder writes: there is no second
//! encoding to look for.

/// Least value of a state between symbols, and the encoder's first one.
pub(crate) const LOWER: u32 = 1 << 16;

/// Puts a symbol onto a state. `start + frequency` is at most `2^scale`, `frequency` above 0, `scale` at most 16.
pub(crate) fn push(state: &mut u32, words: &mut Vec<u16>, start: u32, frequency: u32, scale: u32) {
    if u64::from(*state) >= u64::from(frequency) << (32 - scale) {
        words.push(*state as u16);
        *state >>= 16;
    }
    *state = ((*state / frequency) << scale) + *state % frequency + start;
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
        let (mut state, mut words) = (LOWER, Vec::new());
        for symbol in symbols.iter().rev() {
            push(&mut state, &mut words, ranges[*symbol].0, ranges[*symbol].1, 9);
        }
        words.reverse();
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
