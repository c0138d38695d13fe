//! Normally distributed numbers with the same bits on every machine.
//!
//! `ln` and `cos` of the standard library differ between platforms in the last bit, which excludes
//! the Box-Muller transform. Instead, the inverse distribution function is evaluated with `+ - * /`
//! and `sqrt` in f64 only. IEEE 754 defines these exactly, and the compiler does not fuse them.
//!
//! The rational approximations are those of P. J. Acklam (2003), with a relative error below
//! 1.2e-9. That is fifty times finer than an f32.

use multiversion::multiversion;

use super::counter_rng::CounterRng;

/// Numbers computed at a time; their intermediate values stay in the first-level cache.
const BLOCK: usize = 512;

/// Distance from 0.5 up to which the central approximation holds. 95 of 100 numbers are within it.
const CENTRE: f64 = 0.475_75;

/// A normal distribution with mean 0, possibly truncated on both sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normal {
    /// Standard deviation before truncation.
    pub(crate) sigma: f64,
    /// Largest distance from 0, in sigmas; infinite without truncation.
    pub(crate) bound: f64,
    /// Probability mass beyond the bound on one side.
    pub(crate) tail: f64,
}

impl Normal {
    /// The distribution without truncation. Probabilities are odd multiples of 2^-53, so no number
    /// is beyond 8.3 sigma.
    pub(crate) fn untruncated(sigma: f64) -> Self {
        Self { sigma, bound: f64::INFINITY, tail: 0.0 }
    }

    /// The distribution truncated to 3 sigma on both sides.
    pub(crate) fn within_three_sigma(sigma: f64) -> Self {
        // The tail is a literal: it is `erfc(3 / sqrt(2)) / 2`, and `erfc` is not in the standard
        // library.
        Self { sigma, bound: 3.0, tail: 0.001_349_898_031_630_094_6 }
    }

    /// Fills `numbers` with the numbers of a stream from `first_index` on.
    pub(crate) fn fill(self, rng: CounterRng, first_index: u64, numbers: &mut [f32]) {
        let mut first = first_index;
        for block in numbers.chunks_mut(BLOCK) {
            fill_block(self, rng, first, block);
            first += block.len() as u64;
        }
    }
}

// No `fma` among the features. The compiler does not fuse operations today; without the feature it
// cannot.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx2", "x86_64+avx2"))]
fn fill_block(normal: Normal, rng: CounterRng, first: u64, numbers: &mut [f32]) {
    let mut offsets = [0.0f64; BLOCK];
    let mut sigmas = [0.0f64; BLOCK];
    let offsets = &mut offsets[..numbers.len()];
    let sigmas = &mut sigmas[..numbers.len()];
    let width = 1.0 - 2.0 * normal.tail;
    for (index, offset) in offsets.iter_mut().enumerate() {
        *offset = (rng.unit(first.wrapping_add(index as u64)) - 0.5) * width;
    }
    // The central approximation is computed for all numbers, without a branch, because that
    // vectorizes. The 5 % outside are overwritten in a second loop.
    for (sigma, offset) in sigmas.iter_mut().zip(&*offsets) {
        *sigma = central(*offset);
    }
    for (sigma, offset) in sigmas.iter_mut().zip(&*offsets) {
        if offset.abs() > CENTRE {
            *sigma = outer(*offset);
        }
    }
    // The error of the approximation may lead just beyond the bound.
    for (number, sigma) in numbers.iter_mut().zip(&*sigmas) {
        *number = (sigma.clamp(-normal.bound, normal.bound) * normal.sigma) as f32;
    }
}

/// Sigmas at probability `0.5 + offset`, for offsets within [`CENTRE`].
#[inline(always)]
fn central(offset: f64) -> f64 {
    let square = offset * offset;
    let above = horner(
        square,
        [
            -3.969_683_028_665_376e1,
            2.209_460_984_245_205e2,
            -2.759_285_104_469_687e2,
            1.383_577_518_672_69e2,
            -3.066_479_806_614_716e1,
            2.506_628_277_459_239,
        ],
    );
    let below = horner(
        square,
        [
            -5.447_609_879_822_406e1,
            1.615_858_368_580_409e2,
            -1.556_989_798_598_866e2,
            6.680_131_188_771_972e1,
            -1.328_068_155_288_572e1,
            1.0,
        ],
    );
    offset * above / below
}

/// Sigmas at probability `0.5 + offset`, for offsets beyond [`CENTRE`].
fn outer(offset: f64) -> f64 {
    let depth = (-2.0 * natural_logarithm(0.5 - offset.abs())).sqrt();
    let above = horner(
        depth,
        [
            -7.784_894_002_430_293e-3,
            -3.223_964_580_411_365e-1,
            -2.400_758_277_161_838,
            -2.549_732_539_343_734,
            4.374_664_141_464_968,
            2.938_163_982_698_783,
        ],
    );
    let below = horner(
        depth,
        [
            7.784_695_709_041_462e-3,
            3.224_671_290_700_398e-1,
            2.445_134_137_142_996,
            3.754_408_661_907_416,
            1.0,
        ],
    );
    // The approximation is that of the lower tail, hence the minus sign.
    -(above / below) * offset.signum()
}

/// Value of a polynomial, coefficients from the highest power to the constant.
#[inline(always)]
fn horner<const N: usize>(variable: f64, coefficients: [f64; N]) -> f64 {
    coefficients.into_iter().fold(0.0, |sum, coefficient| sum * variable + coefficient)
}

/// Natural logarithm of a positive normal number, with an error below 2e-14.
///
/// The exponent is read from the bits. For the mantissa `m` between √½ and √2, the series of
/// `2 artanh((m - 1) / (m + 1))` is summed up to its eighth term.
fn natural_logarithm(number: f64) -> f64 {
    const MANTISSA: u64 = 0x000F_FFFF_FFFF_FFFF;
    const ONE: u64 = 0x3FF0_0000_0000_0000;
    let bits = number.to_bits();
    let mantissa = f64::from_bits((bits & MANTISSA) | ONE);
    let exponent = (bits >> 52) as i32 - 1023;
    // Centred around 1, the ratio below stays under 0.172, and eight terms are enough.
    let (mantissa, exponent) = if mantissa > std::f64::consts::SQRT_2 {
        (mantissa / 2.0, exponent + 1)
    } else {
        (mantissa, exponent)
    };
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let terms = [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0].map(|odd: f64| 1.0 / odd);
    f64::from(exponent) * std::f64::consts::LN_2 + 2.0 * ratio * horner(ratio * ratio, terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (probability, sigmas), to 16 digits, from an independent implementation (AS 241).
    const QUANTILES: [(f64, f64); 5] = [
        (0.3, -0.524_400_512_708_040_7),
        (0.02, -2.053_748_910_631_822_5),
        (0.001_349_898_031_630_095_7, -3.0),
        (1e-9, -5.997_807_015_007_687),
        (1.110_223_024_625_156_5e-16, -8.209_536_151_601_386),
    ];

    #[test]
    fn quantiles_match_an_independent_implementation_on_both_sides() {
        for (probability, expected) in QUANTILES {
            let offset = probability - 0.5;
            for (offset, expected) in [(offset, expected), (-offset, -expected)] {
                let sigmas = if offset.abs() > CENTRE { outer(offset) } else { central(offset) };
                // An offset close to 0.5 is known only to 2^-53.
                let tolerance = if probability > 1e-6 { 1.3e-9 } else { 1e-7 };
                assert!(
                    (sigmas / expected - 1.0).abs() < tolerance,
                    "{probability}: {sigmas} for {expected}"
                );
            }
        }
    }

    #[test]
    fn the_logarithm_agrees_with_the_standard_one() {
        for number in [2f64.powi(-53), 1e-9, 0.02, 0.5, 0.707, 0.708, 1.0, 1.5, 1e300] {
            let (ours, theirs) = (natural_logarithm(number), number.ln());
            assert!(
                (ours - theirs).abs() <= 2e-14 * theirs.abs().max(1.0),
                "{number}: {ours} for {theirs}"
            );
        }
    }

    #[test]
    fn numbers_do_not_depend_on_how_they_are_divided_into_calls() {
        let rng = CounterRng::new(3, "blocks");
        for normal in [Normal::untruncated(0.5), Normal::within_three_sigma(2.0)] {
            let mut together = vec![0.0; 3 * BLOCK + 5];
            normal.fill(rng, 11, &mut together);
            for (index, expected) in together.iter().enumerate() {
                let mut alone = [0.0];
                normal.fill(rng, 11 + index as u64, &mut alone);
                assert_eq!(alone[0].to_bits(), expected.to_bits(), "{index}");
            }
        }
    }
}
