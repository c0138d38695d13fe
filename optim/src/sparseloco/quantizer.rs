//! The quantizers of values: four levels per tensor, fitted to the values that are sent.

use super::config::Profile;

/// The largest magnitude of a level. Sums over a thousand peers stay finite in `f32`.
pub const LEVEL_LIMIT: f32 = 1e30;

/// The width of all four bins of the reference, in standard deviations.
const RANGE: f32 = 6.0;

/// The published quantizer: four bins around the mean, each decoded to the mean of its members.
///
/// The bins end at -2.25, -0.75 and 0.75 standard deviations. After top-k the lowest bin is nearly
/// unused, and the third one, around the mean, is empty: little more than the sign is transmitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceFit {
    /// Mean of the values.
    pub mean: f32,
    /// Width of a bin; 1 if the values do not vary.
    pub scale: f32,
    /// Mean distance of the members of each bin from the mean; 0 for an empty bin.
    pub table: [f32; 4],
}

impl ReferenceFit {
    /// Fits the values that a tensor sends, in the order of the values. Sums are in `f64`, those of
    /// the table in `f32`.
    pub fn new(values: &[f32]) -> Self {
        let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
        let mean = (sum / values.len() as f64) as f32;
        // A product instead of `powi`, which has no specified precision: the levels are part of the
        // delta.
        let squares: f64 = values
            .iter()
            .map(|value| {
                let distance = f64::from(value - mean);
                distance * distance
            })
            .sum();
        let deviation = (squares.sqrt() / (values.len() as f64 - 1.0).sqrt()) as f32;
        let scale = RANGE * deviation / 4.0;
        // Zero for equal values, NaN for a single one: any width then puts all values into one bin.
        let scale = if scale.is_normal() { scale } else { 1.0 };
        let mut fit = Self { mean, scale, table: [0.0; 4] };
        fit.table = fit.centroids(values);
        fit
    }

    /// The mean distance of the members of each bin, as in the published program: `f32` sums in the
    /// order of the values.
    fn centroids(&self, values: &[f32]) -> [f32; 4] {
        let (mut sums, mut counts) = ([0.0_f32; 4], [0_u32; 4]);
        for value in values {
            let bin = usize::from(self.code(*value));
            sums[bin] += value - self.mean;
            counts[bin] += 1;
        }
        std::array::from_fn(|bin| sums[bin] / counts[bin].max(1) as f32)
    }

    /// The bin of a value.
    pub fn code(&self, value: f32) -> u8 {
        // `torch.round` rounds halves to even.
        ((value - self.mean) / self.scale + 2.0).round_ties_even().clamp(0.0, 3.0) as u8
    }

    /// The values of the codes.
    pub fn levels(&self) -> [f32; 4] {
        self.table.map(|centroid| centroid + self.mean)
    }
}

/// The quantizer of `covey`: the sign and the nearer of two magnitudes, the pair with the least
/// squared error.
///
/// The best pair consists of the means of the values below and above a split, for the best split
/// (1-D k-means with k = 2). Splits are tried between adjacent bfloat16 numbers. Magnitudes are
/// sent as bfloat16; the rounding error (0.2 % of a level) stays in the error feedback like any
/// other error.
///
/// Cost: one pass over the values and one over at most 32,768 buckets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoLevelFit {
    /// The smaller magnitude, a bfloat16 number.
    pub small: f32,
    /// The larger magnitude, a bfloat16 number.
    pub large: f32,
    /// Upper half of the bits of the lowest magnitude with the larger level.
    split: u16,
}

impl TwoLevelFit {
    /// Fits the values that a tensor sends. Sums are in `f64`, in the order of the values.
    pub fn new(values: &[f32]) -> Self {
        let (Some(low), Some(high)) =
            (values.iter().map(upper_half).min(), values.iter().map(upper_half).max())
        else {
            return Self { small: 0.0, large: 0.0, split: u16::MAX };
        };
        // One bucket per bfloat16 magnitude: the order of bits is the order of magnitudes, so no
        // value is sorted.
        let mut buckets = vec![(0_u64, 0.0_f64); usize::from(high - low) + 1];
        for value in values {
            let bucket = &mut buckets[usize::from(upper_half(value) - low)];
            bucket.0 += 1;
            bucket.1 += f64::from(value.abs());
        }
        let (split, small, large) = best_split(&buckets);
        Self { small: bfloat16(small), large: bfloat16(large), split: low + split as u16 }
    }

    /// Twice the sign bit, plus 1 for the larger magnitude.
    pub fn code(&self, value: f32) -> u8 {
        u8::from(value < 0.0) << 1 | u8::from(upper_half(&value) >= self.split)
    }

    /// The values of the codes.
    pub fn levels(&self) -> [f32; 4] {
        two_levels(self.small, self.large)
    }
}

/// The levels of two magnitudes, by code.
pub(crate) fn two_levels(small: f32, large: f32) -> [f32; 4] {
    [small, large, -small, -large]
}

/// Returns true if levels have the form of [`TwoLevelFit`], bit by bit.
pub(crate) fn is_two_level(levels: [f32; 4]) -> bool {
    let [small, large, ..] = levels;
    // Bits, not values: `-0.0 == 0.0`, but they are different payloads.
    let has_form = two_levels(small, large).map(f32::to_bits) == levels.map(f32::to_bits);
    let is_bfloat16 = small.to_bits() & 0xffff == 0 && large.to_bits() & 0xffff == 0;
    has_form && is_bfloat16 && small.is_sign_positive() && small <= large && large <= LEVEL_LIMIT
}

/// The split of least squared error: the place of the first bucket of the upper part, and the means
/// of both parts.
///
/// The error is the sum of squares less `count * mean^2` of both parts, and only the latter depends
/// on the split. If no split is better than none, the upper part is empty and both means are equal.
fn best_split(buckets: &[(u64, f64)]) -> (usize, f64, f64) {
    let total =
        buckets.iter().fold((0, 0.0), |total, bucket| (total.0 + bucket.0, total.1 + bucket.1));
    let mut best = (buckets.len(), mean(total), mean(total));
    let mut most = explained(total);
    let mut below = (0, 0.0);
    for (place, bucket) in buckets.iter().enumerate() {
        let above = (total.0 - below.0, total.1 - below.1);
        // Splits before an empty bucket equal the next one. Strictly more: the first of equals
        // wins.
        if below.0 > 0 && bucket.0 > 0 && explained(below) + explained(above) > most {
            most = explained(below) + explained(above);
            best = (place, mean(below), mean(above));
        }
        below = (below.0 + bucket.0, below.1 + bucket.1);
    }
    best
}

/// The mean of a part, given its count and sum.
fn mean((count, sum): (u64, f64)) -> f64 {
    sum / count as f64
}

/// The reduction of the squared error by the mean of a part: `count * mean^2`.
fn explained(part: (u64, f64)) -> f64 {
    part.1 * mean(part)
}

/// The upper half of the bits of a magnitude. It orders magnitudes with the precision of bfloat16.
fn upper_half(value: &f32) -> u16 {
    (value.abs().to_bits() >> 16) as u16
}

/// The nearest bfloat16 number; halves round to even.
fn bfloat16(value: f64) -> f32 {
    let bits = (value as f32).to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

/// The fitted quantizer of a profile.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fit {
    Reference(ReferenceFit),
    TwoLevel(TwoLevelFit),
}

impl Fit {
    pub(crate) fn new(profile: Profile, values: &[f32]) -> Self {
        match profile {
            Profile::Reference => Self::Reference(ReferenceFit::new(values)),
            Profile::Covey => Self::TwoLevel(TwoLevelFit::new(values)),
        }
    }

    pub(crate) fn code(&self, value: f32) -> u8 {
        match self {
            Self::Reference(fit) => fit.code(value),
            Self::TwoLevel(fit) => fit.code(value),
        }
    }

    pub(crate) fn levels(&self) -> [f32; 4] {
        match self {
            Self::Reference(fit) => fit.levels(),
            Self::TwoLevel(fit) => fit.levels(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values above a threshold of 1e-3 from a distribution with tail `|x|^-power`, as after top-k.
    fn heavy_tailed(power: f64, count: u32) -> Vec<f32> {
        let uniform =
            |index: u32| (f64::from(index.wrapping_mul(2_654_435_761)) + 0.5) / 4_294_967_296.0;
        let sign = |index: u32| if index.is_multiple_of(3) { -1.0 } else { 1.0 };
        (1..=count)
            .map(|index| (sign(index) * 1e-3 * uniform(index).powf(-1.0 / power)) as f32)
            .collect()
    }

    fn squared_error(fit: Fit, values: &[f32]) -> f64 {
        let levels = fit.levels();
        let error = |value: &f32| f64::from(value - levels[usize::from(fit.code(*value))]).powi(2);
        values.iter().map(error).sum()
    }

    #[test]
    fn the_reference_reproduces_the_published_vector() {
        let values = [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0];
        let fit = ReferenceFit::new(&values);
        assert!((fit.scale - 3.5496).abs() < 1e-4);
        assert_eq!(values.map(|value| fit.code(value)), [1, 1, 2, 2, 3, 3]);
        assert_eq!((fit.table, fit.levels()), ([0.0, -2.5, 0.0, 2.5], [0.0, -2.5, 0.0, 2.5]));
    }

    #[test]
    fn equal_values_are_quantized_exactly() {
        for value in [0.0, 0.25, -3.0] {
            let values = [value; 7];
            assert_eq!(squared_error(Fit::Reference(ReferenceFit::new(&values)), &values), 0.0);
            assert_eq!(squared_error(Fit::TwoLevel(TwoLevelFit::new(&values)), &values), 0.0);
        }
        assert_eq!(ReferenceFit::new(&[2.0]).scale, 1.0);
    }

    #[test]
    fn two_levels_have_a_lower_error_than_the_reference_on_heavy_tails() {
        for power in [2.0, 3.0, 4.0, 8.0, 20.0] {
            let values = heavy_tailed(power, 20_000);
            let reference = squared_error(Fit::Reference(ReferenceFit::new(&values)), &values);
            let two_level = squared_error(Fit::TwoLevel(TwoLevelFit::new(&values)), &values);
            assert!(
                two_level < 0.9 * reference,
                "{two_level} against {reference} at power {power}"
            );
        }
    }

    #[test]
    fn no_other_split_has_a_lower_error() {
        let values = heavy_tailed(2.0, 200);
        let mut sorted: Vec<f64> = values.iter().map(|value| f64::from(value.abs())).collect();
        sorted.sort_by(f64::total_cmp);
        let spread = |part: &[f64]| {
            let mean = part.iter().sum::<f64>() / part.len() as f64;
            part.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
        };
        let best =
            (1..sorted.len()).map(|split| spread(&sorted[..split]) + spread(&sorted[split..]));
        let best = best.fold(f64::INFINITY, f64::min);
        let two_level = squared_error(Fit::TwoLevel(TwoLevelFit::new(&values)), &values);
        assert!(two_level < 1.001 * best, "{two_level} against {best}");
    }

    #[test]
    fn levels_are_bfloat16_magnitudes_with_either_sign() {
        assert!(is_two_level(TwoLevelFit::new(&heavy_tailed(2.0, 99)).levels()));
        assert!(is_two_level(TwoLevelFit::new(&[]).levels()));
        assert!(is_two_level([0.0, 0.5, -0.0, -0.5]));
        for wrong in [
            [0.5, 0.25, -0.5, -0.25],
            [0.25, 0.5, -0.25, 0.5],
            [0.25, 0.1, -0.25, -0.1],
            [-0.0, 1.0, 0.0, -1.0],
        ] {
            assert!(!is_two_level(wrong), "{wrong:?}");
        }
    }
}
