//! The probability of each gap between two positions of a chunk.
//!
//! If positions were drawn evenly, gaps would be nearly geometric. Gaps of real pseudo-gradients
//! are not: large values cluster (in the embedding row of a token that occurred, or in an active
//! neuron), so there are many short gaps and a few very long ones. A geometric distribution with a
//! rate that varies from place to place describes both. With a rate drawn from a beta distribution
//! of shape `a`, gap `g` follows gap `g - 1` with probability ratio `(g - 1 + b) / (a + b + g)`,
//! and the mean is `b / (a - 1)`.
//!
//! The mean follows from the chunk. The shape is one of sixteen, and its number takes one byte. The
//! cost is within 0.2 bits per entry of the histogram of each tensor. In small tensors a
//! transmitted histogram would cost more than that.

use std::sync::OnceLock;

use super::rans;
use super::rans::SymbolRange;

/// Binary places of the probability of a class.
pub(crate) const GAP_SCALE: u32 = 12;

/// Number of classes of gaps below 4096: eight single gaps, then four classes per power of two.
pub(crate) const NUM_CLASSES: usize = 44;

/// Number of slots of a decoding table.
const NUM_SLOTS: usize = 1 << GAP_SCALE;

/// The shape of each model, from even to clustered. The values are part of the wire format.
const SHAPES: [f64; 16] = [
    f64::INFINITY,
    30.0,
    12.0,
    6.0,
    4.0,
    3.0,
    2.5,
    2.1,
    1.8,
    1.6,
    1.45,
    1.3,
    1.2,
    1.12,
    1.06,
    1.02,
];

/// The number of occurrences of each class. 64 instead of 44 entries, so an index of 6 bits needs
/// no bounds check.
pub(crate) type ClassCounts = [u32; 64];

/// The class of every gap below 4096: a table, because computing it needs a branch per gap.
static CLASSES: [u8; 4096] = classes();

const fn classes() -> [u8; 4096] {
    let mut classes = [0; 4096];
    let mut gap = 0;
    while gap < classes.len() {
        let power = if gap < 8 { 0 } else { gap.ilog2() };
        classes[gap] =
            if gap < 8 { gap } else { (4 * power - 4) as usize + (gap >> (power - 2) & 3) } as u8;
        gap += 1;
    }
    classes
}

/// The class of a gap below 4096.
#[inline(always)]
pub(crate) fn class(gap: u32) -> usize {
    usize::from(CLASSES[gap as usize & 4095])
}

/// For each class: its lowest gap (16 bits), and the number of bits that select a gap inside it.
/// Zeros after the last class.
static CLASS_RANGES: [u32; 64] = class_ranges();

const fn class_ranges() -> [u32; 64] {
    let mut ranges = [0; 64];
    let mut class = 0;
    while class < NUM_CLASSES as u32 {
        let bits = if class < 8 { 0 } else { (class >> 2) - 1 };
        let least = if class < 8 { class } else { (4 + (class & 3)) << bits };
        ranges[class as usize] = least | bits << 16;
        class += 1;
    }
    ranges
}

/// The lowest gap of a class, and the number of bits that select a gap inside it.
#[inline(always)]
pub(crate) fn class_range(class: u32) -> (u32, u32) {
    let range = CLASS_RANGES[(class & 63) as usize];
    (range & 0xffff, range >> 16)
}

/// The sixteen models of chunks of one size.
#[derive(Debug)]
pub(crate) struct GapModels {
    models: Vec<GapModel>,
}

/// Probabilities of the classes in 1/4096.
#[derive(Debug)]
pub(crate) struct GapModel {
    starts: [u32; NUM_CLASSES],
    frequencies: [u32; NUM_CLASSES],
    /// In 1/65536 bits.
    costs: [u64; NUM_CLASSES],
    ranges: [SymbolRange; 64],
    slots: OnceLock<Box<[u32; NUM_SLOTS]>>,
}

impl GapModels {
    /// Creates the models of chunks of `length` elements with `kept` entries.
    pub(crate) fn new(length: usize, kept: usize) -> Self {
        // `length - kept` positions are not sent. They are divided among `kept + 1` gaps, counting
        // the one after the last entry.
        let mean = (length - kept) as f64 / (kept + 1) as f64;
        let models = SHAPES.iter().map(|shape| GapModel::new(length - kept, mean, *shape));
        Self { models: models.collect() }
    }

    /// The model of a number; `None` from 16 on.
    pub(crate) fn get(&self, number: u8) -> Option<&GapModel> {
        self.models.get(usize::from(number))
    }

    /// The number of the model that encodes these gaps in the fewest bits; the lowest of equals.
    pub(crate) fn choose(&self, counts: &[u64; NUM_CLASSES]) -> u8 {
        // Bits inside a class are the same in all models, so only the cost of classes is compared.
        let best = self.models.iter().enumerate().min_by_key(|(_, model)| model.cost(counts));
        best.map_or(0, |(number, _)| number as u8)
    }
}

impl GapModel {
    fn new(longest: usize, mean: f64, shape: f64) -> Self {
        let weights = class_weights(longest, mean, shape);
        let mut model = Self {
            starts: [0; NUM_CLASSES],
            frequencies: [0; NUM_CLASSES],
            costs: [0; NUM_CLASSES],
            ranges: [SymbolRange::default(); 64],
            slots: OnceLock::new(),
        };
        let mut start = 0;
        for (class, frequency) in
            rans::frequencies(&weights, NUM_SLOTS as u32).into_iter().enumerate()
        {
            model.starts[class] = start;
            model.frequencies[class] = frequency;
            model.ranges[class] = SymbolRange::new(start, frequency);
            model.costs[class] = rans::cost(frequency, GAP_SCALE);
            start += frequency;
        }
        model
    }

    /// The cost of coding these classes, in 1/65536 bits.
    fn cost(&self, counts: &[u64; NUM_CLASSES]) -> u64 {
        // A class costs less than 2^20, and memory holds fewer than 2^44 gaps: no overflow.
        counts.iter().zip(self.costs).map(|(count, cost)| count * cost).sum()
    }

    /// Start and frequency of a class that a chunk of this size can contain.
    pub(crate) fn range(&self, class: usize) -> (u32, u32) {
        (self.starts[class], self.frequencies[class])
    }

    /// The range of every class, for encoding; unused after the last class.
    pub(crate) fn ranges(&self) -> &[SymbolRange; 64] {
        &self.ranges
    }

    /// The decoding table. For each slot: place inside the range of the class (12 bits), frequency
    /// less 1 (12 bits), class (8 bits).
    pub(crate) fn slots(&self) -> &[u32; NUM_SLOTS] {
        // Created on first use: an encoder needs no slots, and a decoder needs those of one model
        // in sixteen.
        self.slots.get_or_init(|| {
            let mut slots = Box::new([0; NUM_SLOTS]);
            let mut places = slots.iter_mut();
            for (class, frequency) in self.frequencies.into_iter().enumerate() {
                for (offset, slot) in places.by_ref().take(frequency as usize).enumerate() {
                    *slot = offset as u32 | (frequency - 1) << 12 | (class as u32) << 24;
                }
            }
            slots
        })
    }
}

/// The probability of each class of gaps up to `longest`, as integers in units of `2^-40`.
fn class_weights(longest: usize, mean: f64, shape: f64) -> Vec<u64> {
    // All peers must get the same integers, so this uses only sums, products and quotients of f64,
    // in the order of gaps. IEEE 754 fixes the result of each.
    let spread = mean * (shape - 1.0);
    let mut masses = vec![0.0; class(longest as u32) + 1];
    let (mut probability, mut total) = (1.0, 0.0);
    for gap in 0..=longest {
        if gap > 0 {
            probability *= ratio(gap as f64, mean, shape, spread);
        }
        masses[class(gap as u32)] += probability;
        total += probability;
    }
    masses.into_iter().map(|mass| (mass / total * (1_u64 << 40) as f64) as u64).collect()
}

/// The probability of a gap relative to that of the gap one shorter.
fn ratio(gap: f64, mean: f64, shape: f64, spread: f64) -> f64 {
    if shape.is_finite() {
        (gap - 1.0 + spread) / (shape + spread + gap)
    } else {
        // The limit of the formula above for an infinite shape: a geometric distribution.
        mean / (1.0 + mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_cover_all_gaps() {
        for gap in 0..4096 {
            let (least, bits) = class_range(class(gap) as u32);
            assert!((least..least + (1 << bits)).contains(&gap), "{gap}");
        }
        assert_eq!(class(4095), NUM_CLASSES - 1);
    }

    #[test]
    fn slots_match_ranges() {
        for (length, kept) in [(4096, 64), (64, 64), (2816, 44), (1, 1), (4096, 1)] {
            for model in GapModels::new(length, kept).models {
                for (slot, entry) in model.slots().iter().enumerate() {
                    let (start, frequency) = model.range((entry >> 24) as usize);
                    assert_eq!(start + (entry & 0xfff), slot as u32);
                    assert_eq!((entry >> 12 & 0xfff) + 1, frequency);
                }
            }
        }
    }

    #[test]
    fn evenly_drawn_positions_cost_less_than_seven_and_a_half_bits() {
        let mut counts = [0; NUM_CLASSES];
        let mut bits = 0;
        let (mut chance, mut total) = (1e9 / 64.0, 0);
        for gap in 0..4033 {
            counts[class(gap)] += chance as u64;
            total += chance as u64;
            bits += u64::from(class_range(class(gap) as u32).1) * chance as u64;
            chance *= 63.0 / 64.0;
        }
        let models = GapModels::new(4096, 64);
        let best = models.get(models.choose(&counts)).unwrap();
        let classes: u64 =
            counts.iter().zip(best.costs).map(|(count, cost)| count * cost / 65536).sum();
        let mean = (classes + bits) as f64 / total as f64;
        assert!(mean < 7.45, "{mean}");
    }
}
