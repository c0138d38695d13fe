//! Random numbers as a pure function of (seed, label, index).
//!
//! Nothing is advanced, so any number can be had in any order on any machine.
//! The mixing is SplitMix64's, entered at a counter; a second word of the key
//! joins half-way, so that two labels whose counters overlap still differ.

/// Odd constant next to 2^64 divided by the golden ratio: consecutive counters differ in half their bits.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// One unbounded row of random numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CounterRng {
    start: u64,
    twist: u64,
}

impl CounterRng {
    /// The row of that seed and label.
    pub(crate) fn new(seed: u64, label: &str) -> Self {
        let label = fnv_1a(label.as_bytes());
        Self {
            start: mix(seed.wrapping_add(STEP), label),
            twist: mix(label.wrapping_add(STEP), !seed),
        }
    }

    /// 64 random bits.
    #[inline(always)]
    pub(crate) fn bits(self, index: u64) -> u64 {
        mix(self.start.wrapping_add(index.wrapping_mul(STEP)), self.twist)
    }

    /// A number strictly between 0 and 1: an odd multiple of 2^-53, so one minus it is one as well.
    #[inline(always)]
    pub(crate) fn unit(self, index: u64) -> f64 {
        let between_1_and_2 = f64::from_bits(0x3FF0_0000_0000_0000 | (self.bits(index) >> 12));
        (between_1_and_2 - 1.0) + f64::EPSILON / 2.0
    }
}

#[inline(always)]
fn mix(counter: u64, twist: u64) -> u64 {
    let mixed = (counter ^ (counter >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ twist;
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// FNV-1a, 64 bits: short labels, no need for more.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_frozen() {
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_F739_67E8, "published FNV-1a vector");
        let rng = CounterRng::new(42, "model.norm.weight");
        // Computed by an independent implementation in Python.
        let expected = [0x9714_856C_3DA6_D80A, 0x1B0F_3C16_9E2E_1231, 0x7BA2_C68E_10AA_1DA6];
        assert_eq!([0, 1, u64::MAX].map(|index| rng.bits(index)), expected);
    }

    #[test]
    fn seed_label_and_index_all_matter() {
        let reference = CounterRng::new(1, "a").bits(0);
        for other in [
            CounterRng::new(2, "a").bits(0),
            CounterRng::new(1, "b").bits(0),
            CounterRng::new(1, "a").bits(1),
        ] {
            let differing = (reference ^ other).count_ones();
            assert!((16..=48).contains(&differing), "{differing} of 64 bits differ");
        }
    }

    #[test]
    fn units_stay_inside_and_fill_evenly() {
        let rng = CounterRng::new(7, "units");
        let mut bins = [0u32; 64];
        for index in 0..640_000 {
            let unit = rng.unit(index);
            assert!(unit > 0.0 && unit < 1.0);
            bins[(unit * 64.0) as usize] += 1;
        }
        // Chi-squared of 63 degrees of freedom: above 103.4 once in a thousand rows; this row is fixed.
        let chi_squared: f64 =
            bins.iter().map(|count| (f64::from(*count) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi_squared < 103.4, "{chi_squared}");
    }
}
