//! Rotary position embedding: the angles by which queries and keys are rotated.
//!
//! Su et al., "RoFormer" (arXiv 2104.09864), section 3.2.2. The layout is that of the Hub's Llama:
//! element `i` of a head is paired with element `i + head_dim / 2`, where the paper pairs
//! neighbours. The trained projections depend on this order.

use std::f32::consts::TAU;

use super::model_config::{Llama3Scaling, ModelConfig, Rope};

/// Cosines and sines of all (position, pair), `[positions, head_dim / 2]` row-major, in f32.
///
/// Frequencies and angles are rounded to f32 where `transformers` rounds them. At position 2000
/// this rounding moves an angle by up to 1e-4, so a more exact table would rotate vectors to other
/// places than the published models were trained with.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeTable {
    /// Cosines.
    pub cos: Vec<f32>,
    /// Sines.
    pub sin: Vec<f32>,
    /// Pairs per head, which is the length of a row.
    pub num_pairs: usize,
}

impl RopeTable {
    /// The table for all positions of `config`.
    pub fn new(config: &ModelConfig) -> Self {
        Self::with_positions(config, config.max_positions)
    }

    /// The table for the first `num_positions` positions.
    pub fn with_positions(config: &ModelConfig, num_positions: usize) -> Self {
        let frequencies = frequencies(&config.rope, config.head_dim);
        // The product is an f32 as in `transformers`; its cosine is taken in f64 to be correctly
        // rounded in nearly all cases, which f32 functions of the system do not guarantee.
        let angles = (0..num_positions).flat_map(|position| {
            frequencies.iter().map(move |frequency| f64::from(position as f32 * frequency))
        });
        let (cos, sin) = angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip();
        Self { cos, sin, num_pairs: config.head_dim / 2 }
    }
}

/// Radians per position of each pair, `[head_dim / 2]`: `theta^(-2 i / head_dim)`, stretched if
/// `rope` has a scaling.
fn frequencies(rope: &Rope, head_dim: usize) -> Vec<f32> {
    // The exponent and the result are f32 in `transformers`; only the power itself is in f64.
    let theta = f64::from(rope.theta as f32);
    let plain = (0..head_dim / 2).map(|pair| {
        let exponent = (2 * pair) as f32 / head_dim as f32;
        1.0 / theta.powf(f64::from(exponent)) as f32
    });
    match &rope.scaling {
        None => plain.collect(),
        Some(scaling) => plain.map(|frequency| scaling.stretch(frequency)).collect(),
    }
}

impl Llama3Scaling {
    /// The frequency after scaling: long wavelengths get `factor` times longer, short ones stay,
    /// and those between are interpolated linearly.
    ///
    /// Llama 3.1 reference code, `apply_scaling`.
    fn stretch(&self, frequency: f32) -> f32 {
        let original = self.original_max_positions as f32;
        let (factor, low, high) =
            (self.factor as f32, self.low_freq_factor as f32, self.high_freq_factor as f32);
        let wavelength = TAU / frequency;
        // High frequencies encode the order of close tokens, which a longer context does not
        // change.
        if wavelength < original / high {
            frequency
        } else if wavelength > original / low {
            frequency / factor
        } else {
            let kept = (original / wavelength - low) / (high - low);
            (1.0 - kept) * frequency / factor + kept * frequency
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::presets::preset;

    fn assert_close(got: &[f32], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!(
                (f64::from(*got) - expected).abs() <= 1.5e-7 * expected.abs().max(1e-3),
                "{got} for {expected}"
            );
        }
    }

    fn frequency_of(wavelength: f64) -> f32 {
        (std::f64::consts::TAU / wavelength) as f32
    }

    #[test]
    fn frequencies_fall_geometrically() {
        let rope = Rope { theta: 10_000.0, scaling: None };
        assert_close(&frequencies(&rope, 8), &[1.0, 0.1, 0.01, 0.001]);
    }

    #[test]
    fn each_row_holds_the_angles_of_one_position() {
        let config = ModelConfig { head_dim: 4, max_positions: 3, ..preset("tiny").unwrap() };
        let table = RopeTable::new(&config);
        assert_eq!(table.num_pairs, 2);
        // Angles of position p: p and p / 100.
        let cos =
            [1.0, 1.0, 0.540_302_305_868, 0.999_950_000_417, -0.416_146_836_547, 0.999_800_006_667];
        let sin =
            [0.0, 0.0, 0.841_470_984_808, 0.009_999_833_334, 0.909_297_426_826, 0.019_998_666_693];
        assert_close(&table.cos, &cos);
        assert_close(&table.sin, &sin);
    }

    #[test]
    fn llama_3_scaling_stretches_only_long_wavelengths() {
        let scaling = Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_positions: 8192,
        };
        // Wavelengths 1000 (kept), 10,000 (stretched in full) and 4096: kept share (2 - 1) / (4 -
        // 1).
        let [short, long, middle] = [1000.0, 10_000.0, 4096.0].map(frequency_of);
        assert_eq!(scaling.stretch(short), short);
        assert_eq!(scaling.stretch(long), long / 8.0);
        let third = std::f64::consts::TAU / 4096.0 * (2.0 / 3.0 / 8.0 + 1.0 / 3.0);
        assert_close(&[scaling.stretch(middle) * 1e3], &[third * 1e3]);
    }

    #[test]
    fn llama_3_1_keeps_short_wavelengths_and_divides_long_ones_by_8() {
        let scaling = Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_positions: 8192,
        };
        let frequencies = frequencies(&Rope { theta: 500_000.0, scaling: Some(scaling) }, 128);
        let base = |pair: i32| 500_000f64.powf(-f64::from(pair) / 64.0);
        // Wavelength 2048 falls between pairs 28 and 29, 8192 between 34 and 35.
        assert_close(&frequencies[..29], &(0..29).map(base).collect::<Vec<_>>());
        let scaled: Vec<f32> = frequencies[35..].iter().map(|frequency| frequency * 8.0).collect();
        assert_close(&scaled, &(35..64).map(base).collect::<Vec<_>>());
        for pair in 29..35 {
            let share = f64::from(frequencies[pair as usize]) / base(pair);
            assert!(share > 0.125 && share < 1.0, "pair {pair}: {share}");
        }
    }
}
