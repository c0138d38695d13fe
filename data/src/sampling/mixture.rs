//! Which source each sample comes from.
//!
//! Sample number i takes the point `offset + i * golden ratio` on a circle of circumference one, and each source owns
//! an arc as long as its share. Such points spread more evenly than random ones: after n samples every source is
//! within about `log n` samples of its exact share, and no list or random state is needed.

use crate::error::DataError;

/// The golden ratio as a fraction of 2^64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Circumference of the circle.
const CIRCLE: u128 = 1 << 64;

/// Shares of several sources, and the order in which they take turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixture {
    offset: u64,
    /// Where the arc of each source ends; the last one ends at [`CIRCLE`].
    ends: Vec<u128>,
}

impl Mixture {
    /// Shares in proportion to `weights`, which need not add up to one but must be finite and positive.
    pub fn new(weights: &[f64], seed: u64) -> Result<Self, DataError> {
        let wrong = weights.iter().find(|weight| !(weight.is_finite() && **weight > 0.0));
        if weights.is_empty() || wrong.is_some() {
            let got = wrong.map_or("nothing".to_string(), f64::to_string);
            return Err(DataError::Setting {
                name: "weight of a source",
                got,
                expected: "a positive number".into(),
            });
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
        // Rounding must not leave a gap that belongs to nobody.
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
        let point = u128::from(self.offset.wrapping_add(sample.wrapping_mul(STEP)));
        self.ends.partition_point(|&end| end <= point)
    }

    /// How many of the samples before number `sample` came from each source, without walking through them.
    ///
    /// `sample` must be below 2^62.
    pub fn drawn_before(&self, sample: u64) -> Vec<u64> {
        let below = self.ends.iter().map(|&end| self.points_below(end, sample));
        let mut previous = 0;
        below.map(|count| count - std::mem::replace(&mut previous, count)).collect()
    }

    /// Of the first `samples` points, those before `end`.
    ///
    /// A point x mod M lies below t exactly when floor(x / M) - floor((x - t) / M) is one.
    fn points_below(&self, end: u128, samples: u64) -> u64 {
        let offset = u128::from(self.offset);
        let passed = floor_sum(samples.into(), CIRCLE, STEP.into(), offset);
        let shifted = floor_sum(samples.into(), CIRCLE, STEP.into(), offset + CIRCLE - end);
        (u128::from(samples) + passed - shifted) as u64
    }
}

/// The sum of `floor((b + a * i) / m)` for i below n, in as many steps as Euclid's algorithm on a and m.
fn floor_sum(mut n: u128, mut m: u128, mut a: u128, mut b: u128) -> u128 {
    let mut sum = 0;
    while n > 0 {
        sum += n * (n - 1) / 2 * (a / m) + n * (b / m);
        (a, b) = (a % m, b % m);
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
        fn shares_are_exact(weights in prop::collection::vec(0.01f64..1.0, 1..6), seed: u64) {
            let mixture = Mixture::new(&weights, seed).unwrap();
            let samples = 20_000;
            let drawn = mixture.drawn_before(samples);
            let total: f64 = weights.iter().sum();
            for (count, weight) in drawn.iter().zip(&weights) {
                prop_assert!((*count as f64 - weight / total * samples as f64).abs() < 12.0);
            }
        }

        #[test]
        fn counting_is_walking(weights in prop::collection::vec(0.01f64..1.0, 1..6), seed: u64, samples in 0u64..3000) {
            let mixture = Mixture::new(&weights, seed).unwrap();
            let mut walked = vec![0; weights.len()];
            (0..samples).for_each(|sample| walked[mixture.source_of(sample)] += 1);
            prop_assert_eq!(mixture.drawn_before(samples), walked);
        }

        #[test]
        fn counts_add_up_far_out(seed: u64, samples in 0u64..(1 << 62)) {
            let mixture = Mixture::new(&[1.0, 2.0, 4.0], seed).unwrap();
            prop_assert_eq!(mixture.drawn_before(samples).iter().sum::<u64>(), samples);
        }
    }

    #[test]
    fn order_never_changes() {
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
