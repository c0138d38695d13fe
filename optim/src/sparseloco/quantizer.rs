//! What the two bits of a code stand for: four levels per tensor, fitted to the values that are sent.

use super::config::Profile;

/// Largest magnitude of a level. Sums over a thousand peers stay finite.
pub const LEVEL_LIMIT: f32 = 1e30;

/// Width of all four bins of the reference together, in standard deviations.
const RANGE: f32 = 6.0;

/// The published quantiser: four bins around the mean, each decoded to the mean of its members.
///
/// The bins end at -2.25, -0.75 and 0.75 standard deviations, so the lowest is nearly unused and the third, around the
/// mean, is empty after top-k: in effect little more than the sign survives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceFit {
    /// Mean of the values.
    pub mean: f32,
    /// Width of a bin; 1 where values do not vary.
    pub scale: f32,
    /// Mean distance of each bin's members from the mean; 0 for an empty bin.
    pub table: [f32; 4],
}

impl ReferenceFit {
    /// Fits the values that a tensor sends, in the order of the values: sums of `f64`, but of `f32` in the table.
    pub fn new(values: &[f32]) -> Self {
        let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
        let mean = (sum / values.len() as f64) as f32;
        let squares: f64 = values.iter().map(|value| f64::from(value - mean).powi(2)).sum();
        let deviation = (squares.sqrt() / (values.len() as f64 - 1.0).sqrt()) as f32;
        let scale = RANGE * deviation / 4.0;
        let scale = if scale.is_normal() { scale } else { 1.0 };
        let mut fit = Self { mean, scale, table: [0.0; 4] };
        fit.table = fit.centroids(values);
        fit
    }

    /// Means as the published program takes them: `f32` sums, one value after the other.
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
        ((value - self.mean) / self.scale + 2.0).round_ties_even().clamp(0.0, 3.0) as u8
    }

    /// What codes decode to.
    pub fn levels(&self) -> [f32; 4] {
        self.table.map(|centroid| centroid + self.mean)
    }
}

/// Our quantiser: the sign, and the one of two magnitudes that is nearer; the pair with the least squared error.
///
/// The best pair is the means of the values below and above a split, for the best of all splits; splits are tried
/// between bfloat16 numbers. Magnitudes are sent as bfloat16: what this rounds away (0.2 % of a level) stays in the
/// error feedback like any other error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoLevelFit {
    /// The smaller magnitude, a bfloat16 number.
    pub small: f32,
    /// The larger magnitude, a bfloat16 number.
    pub large: f32,
    /// Upper half of the bits of the least magnitude that counts as large.
    split: u16,
}

impl TwoLevelFit {
    /// Fits the values that a tensor sends. Sums are `f64` in the order of the values.
    pub fn new(values: &[f32]) -> Self {
        let (Some(low), Some(high)) =
            (values.iter().map(upper_half).min(), values.iter().map(upper_half).max())
        else {
            return Self { small: 0.0, large: 0.0, split: u16::MAX };
        };
        let mut buckets = vec![(0_u64, 0.0_f64); usize::from(high - low) + 1];
        for value in values {
            let bucket = &mut buckets[usize::from(upper_half(value) - low)];
            bucket.0 += 1;
            bucket.1 += f64::from(value.abs());
        }
        let (split, small, large) = best_split(&buckets);
        Self { small: bfloat16(small), large: bfloat16(large), split: low + split as u16 }
    }

    /// Twice the sign plus whether the magnitude is the larger one.
    pub fn code(&self, value: f32) -> u8 {
        u8::from(value < 0.0) << 1 | u8::from(upper_half(&value) >= self.split)
    }

    /// What codes decode to.
    pub fn levels(&self) -> [f32; 4] {
        two_levels(self.small, self.large)
    }
}

/// The levels of two magnitudes, by code.
pub(crate) fn two_levels(small: f32, large: f32) -> [f32; 4] {
    [small, large, -small, -large]
}

/// Whether levels are of the form that [`TwoLevelFit`] gives, bit for bit.
pub(crate) fn is_two_level(levels: [f32; 4]) -> bool {
    let [small, large, ..] = levels;
    let form = two_levels(small, large).map(f32::to_bits) == levels.map(f32::to_bits);
    let short = small.to_bits() & 0xffff == 0 && large.to_bits() & 0xffff == 0;
    form && short && small.is_sign_positive() && small <= large && large <= LEVEL_LIMIT
}

/// The place of the first bucket of the upper part, and the means of both parts, for the split of least squared error.
///
/// The error is the sum of squares less `count * mean^2` of both parts, and only the latter depends on the split. One
/// part may be empty: then both means are the same.
fn best_split(buckets: &[(u64, f64)]) -> (usize, f64, f64) {
    let total =
        buckets.iter().fold((0, 0.0), |total, bucket| (total.0 + bucket.0, total.1 + bucket.1));
    let mean = |(count, sum): (u64, f64)| sum / count as f64;
    let explained = |part: (u64, f64)| part.1 * mean(part);
    let mut best = (buckets.len(), mean(total), mean(total));
    let mut most = explained(total);
    let mut below = (0, 0.0);
    for (place, bucket) in buckets.iter().enumerate() {
        let above = (total.0 - below.0, total.1 - below.1);
        if below.0 > 0 && bucket.0 > 0 && explained(below) + explained(above) > most {
            most = explained(below) + explained(above);
            best = (place, mean(below), mean(above));
        }
        below = (below.0 + bucket.0, below.1 + bucket.1);
    }
    best
}

/// The upper half of a magnitude's bits: orders magnitudes at the resolution of bfloat16.
fn upper_half(value: &f32) -> u16 {
    (value.abs().to_bits() >> 16) as u16
}

/// The nearest bfloat16 number, ties to even.
fn bfloat16(value: f64) -> f32 {
    let bits = (value as f32).to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

/// The quantiser of a profile, fitted.
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

    /// What top-k lets through of a distribution whose tail falls like `|x|^-power`: magnitudes from 1e-3 on.
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
    fn reference_gives_the_published_vector() {
        let values = [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0];
        let fit = ReferenceFit::new(&values);
        assert!((fit.scale - 3.5496).abs() < 1e-4);
        assert_eq!(values.map(|value| fit.code(value)), [1, 1, 2, 2, 3, 3]);
        assert_eq!((fit.table, fit.levels()), ([0.0, -2.5, 0.0, 2.5], [0.0, -2.5, 0.0, 2.5]));
    }

    #[test]
    fn values_that_do_not_vary_are_kept_exactly() {
        for value in [0.0, 0.25, -3.0] {
            let values = [value; 7];
            assert_eq!(squared_error(Fit::Reference(ReferenceFit::new(&values)), &values), 0.0);
            assert_eq!(squared_error(Fit::TwoLevel(TwoLevelFit::new(&values)), &values), 0.0);
        }
        assert_eq!(ReferenceFit::new(&[2.0]).scale, 1.0);
    }

    #[test]
    fn two_levels_err_less_than_the_reference_on_heavy_tails() {
        for power in [2.0, 3.0, 4.0, 8.0, 20.0] {
            let values = heavy_tailed(power, 20_000);
            let reference = squared_error(Fit::Reference(ReferenceFit::new(&values)), &values);
            let ours = squared_error(Fit::TwoLevel(TwoLevelFit::new(&values)), &values);
            assert!(ours < 0.9 * reference, "{ours} against {reference} at power {power}");
        }
    }

    #[test]
    fn no_other_split_errs_less() {
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
        let ours = squared_error(Fit::TwoLevel(TwoLevelFit::new(&values)), &values);
        assert!(ours < 1.001 * best, "{ours} against {best}");
    }

    #[test]
    fn levels_are_bfloat16_with_either_sign() {
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
