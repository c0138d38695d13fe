//! The source of each sample in a mixture of several sources.
//!
//! Sample number i is the point `offset + i * golden ratio` on a circle of circumference one, and
//! each source owns an arc as long as its share. Such points spread more evenly than random ones:
//! after n samples every source is within about `log n` samples of its exact share. The method
//! needs neither a list nor a random state.

use crate::error::DataError;

/// The golden ratio as a fraction of 2^64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Circumference of the circle.
const CIRCLE: u128 = 1 << 64;

/// The shares of several sources and the order in which they supply samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixture {
    offset: u64,
    /// The end of each source's arc; the last one is [`CIRCLE`].
    ends: Vec<u128>,
}

impl Mixture {
    /// Shares in proportion to `weights`, which must be finite and positive; their sum may be any.
    pub fn new(weights: &[f64], seed: u64) -> Result<Self, DataError> {
        let wrong = weights.iter().find(|weight| !(weight.is_finite() && **weight > 0.0));
        if weights.is_empty() || wrong.is_some() {
            let got = wrong.map_or("missing".to_string(), f64::to_string);
            let expected = "a positive number".to_string();
            return Err(DataError::Setting { name: "weight of a source", got, expected });
        }
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let mut ends: Vec<u128> = weights
            .iter()
            .map(|weight| {
                sum += weight;
                ((sum / total) * CIRCLE as f64) as u128
            })
            .collect();
        // Rounding could leave a gap before the end of the circle, and a sample there no source.
        if let Some(end) = ends.last_mut() {
            *end = CIRCLE;
        }
        let hash = blake3::derive_key(
            "covey 2026-11-22 offset of a mixture of sources",
            &seed.to_le_bytes(),
        );
        let offset = u64::from_le_bytes(std::array::from_fn(|index| hash[index]));
        Ok(Self { offset, ends })
    }

    /// The source of sample number `sample`.
    pub fn source_of(&self, sample: u64) -> usize {
        // Wrapping at 2^64 is one turn of the circle.
        let point = u128::from(self.offset.wrapping_add(sample.wrapping_mul(STEP)));
        self.ends.partition_point(|&end| end <= point)
    }

    /// How many samples before number `sample` come from each source, in logarithmic time.
    ///
    /// `sample` must be below 2^62.
    pub fn drawn_before(&self, sample: u64) -> Vec<u64> {
        let below = self.ends.iter().map(|&end| self.points_below(end, sample));
        let mut previous = 0;
        below.map(|count| count - std::mem::replace(&mut previous, count)).collect()
    }

    /// The number of the first `samples` points that are before `end`.
    ///
    /// A point x mod M lies below t exactly when floor(x / M) - floor((x - t) / M) is one.
    fn points_below(&self, end: u128, samples: u64) -> u64 {
        let offset = u128::from(self.offset);
        let passed = floor_sum(samples.into(), CIRCLE, STEP.into(), offset);
        let shifted = floor_sum(samples.into(), CIRCLE, STEP.into(), offset + CIRCLE - end);
        (u128::from(samples) + passed - shifted) as u64
    }
}

/// The sum of `floor((b + a * i) / m)` for i below n, by the steps of Euclid's algorithm.
fn floor_sum(mut n: u128, mut m: u128, mut a: u128, mut b: u128) -> u128 {
    let mut sum = 0;
    while n > 0 {
        sum += n * (n - 1) / 2 * (a / m) + n * (b / m);
        (a, b) = (a % m, b % m);
        // No overflow: n is below 2^62 and a below 2^64.
        let highest = a * n + b;
        (n, b) = (highest / m, highest % m);
        std::mem::swap(&mut m, &mut a);
        if m == 0 {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_are_almost_exact(
            weights in prop::collection::vec(0.01f64..1.0, 1..6),
            seed: u64,
        ) {
            let mixture = Mixture::new(&weights, seed).unwrap();
            let samples = 20_000;
            let drawn = mixture.drawn_before(samples);
            let total: f64 = weights.iter().sum();
            for (count, weight) in drawn.iter().zip(&weights) {
                prop_assert!((*count as f64 - weight / total * samples as f64).abs() < 12.0);
            }
        }

        #[test]
        fn counts_equal_a_walk(
            weights in prop::collection::vec(0.01f64..1.0, 1..6),
            seed: u64,
            samples in 0u64..3000,
        ) {
            let mixture = Mixture::new(&weights, seed).unwrap();
            let mut walked = vec![0; weights.len()];
            (0..samples).for_each(|sample| walked[mixture.source_of(sample)] += 1);
            prop_assert_eq!(mixture.drawn_before(samples), walked);
        }

        #[test]
        fn counts_add_up_at_any_distance(seed: u64, samples in 0u64..(1 << 62)) {
            let mixture = Mixture::new(&[1.0, 2.0, 4.0], seed).unwrap();
            prop_assert_eq!(mixture.drawn_before(samples).iter().sum::<u64>(), samples);
        }
    }

    #[test]
    fn the_mixture_never_changes() {
        let mixture = Mixture::new(&[0.5, 0.3, 0.2], 42).unwrap();
        let sources: Vec<_> = (0..16).map(|sample| mixture.source_of(sample)).collect();
        assert_eq!(sources, [2, 1, 0, 2, 0, 0, 1, 0, 2, 1, 0, 1, 0, 2, 1, 0]);
    }

    #[test]
    fn weights_must_be_positive() {
        for weights in [&[][..], &[1.0, 0.0], &[f64::NAN], &[-1.0], &[f64::INFINITY]] {
            assert!(matches!(Mixture::new(weights, 0), Err(DataError::Setting { .. })));
        }
    }
}
