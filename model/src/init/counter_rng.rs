//! Counter-based random numbers: a pure function of (seed, label, index).
//!
//! The generator has no state, so any number can be computed in any order on any machine. The
//! mixing function is that of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), applied to a
//! counter. A second key word is mixed in half-way: streams differ even where their counters
//! overlap.
//!
//! It is not cryptographic; initial weights and sampled tokens do not need that.

/// 2^64 divided by the golden ratio, rounded to an odd number. Consecutive multiples are spread
/// evenly, and an odd factor maps distinct indices to distinct counters.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// One stream of random numbers, indexed by `u64`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CounterRng {
    start: u64,
    key: u64,
}

impl CounterRng {
    /// The stream of this seed and label.
    pub(crate) fn new(seed: u64, label: &str) -> Self {
        let label = fnv_1a(label.as_bytes());
        // Both words depend on seed and label, or streams of one seed would share their counters.
        // SplitMix64 as well adds the step before it mixes for the first time.
        Self {
            start: mix(seed.wrapping_add(STEP), label),
            key: mix(label.wrapping_add(STEP), !seed),
        }
    }

    /// 64 random bits.
    // Inlined into the loops of `normal`, which are compiled once per instruction set: a call would
    // keep the compiler from vectorizing them.
    #[inline(always)]
    pub(crate) fn bits(self, index: u64) -> u64 {
        mix(self.start.wrapping_add(index.wrapping_mul(STEP)), self.key)
    }

    /// A number strictly between 0 and 1: an odd multiple of 2^-53. The set is symmetric around
    /// 0.5.
    #[inline(always)]
    pub(crate) fn unit(self, index: u64) -> f64 {
        // 52 random bits as the mantissa of a number in [1, 2): exact, and cheaper than a
        // conversion from an integer, for which AVX2 has no instruction.
        let between_1_and_2 = f64::from_bits(0x3FF0_0000_0000_0000 | (self.bits(index) >> 12));
        // Half a unit in the last place moves 0 away from the logarithm's pole.
        (between_1_and_2 - 1.0) + f64::EPSILON / 2.0
    }
}

#[inline(always)]
fn mix(counter: u64, key: u64) -> u64 {
    // Shifts and multipliers of SplitMix64, which are Stafford's variant 13 of MurmurHash3.
    let mixed = (counter ^ (counter >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ key;
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// FNV-1a hash of 64 bits. Labels are short and their number is small, so no stronger hash is
/// needed.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_frozen() {
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_F739_67E8, "published FNV-1a vector");
        let rng = CounterRng::new(42, "model.norm.weight");
        // Computed by an independent implementation in Python.
        let expected = [0x9714_856C_3DA6_D80A, 0x1B0F_3C16_9E2E_1231, 0x7BA2_C68E_10AA_1DA6];
        assert_eq!([0, 1, u64::MAX].map(|index| rng.bits(index)), expected);
    }

    #[test]
    fn seed_label_and_index_each_change_about_half_of_the_bits() {
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
    fn units_are_strictly_between_0_and_1_and_uniform() {
        let rng = CounterRng::new(7, "units");
        let mut bins = [0u32; 64];
        for index in 0..640_000 {
            let unit = rng.unit(index);
            assert!(unit > 0.0 && unit < 1.0);
            bins[(unit * 64.0) as usize] += 1;
        }
        // Chi-squared with 63 degrees of freedom exceeds 103.4 in one of 1000 streams; this stream
        // is fixed.
        let chi_squared: f64 =
            bins.iter().map(|count| (f64::from(*count) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi_squared < 103.4, "{chi_squared}");
    }
}
