//! Loops over contiguous rows, compiled for AVX-512, AVX2 and any CPU. The first call selects a
//! version.
//!
//! Sums have a fixed number of lanes. This makes them fast, and their order is the same for each
//! instruction set.

use multiversion::multiversion;

/// Partial sums of a row: one AVX-512 register of f32. AVX2 uses two registers for them.
const LANES: usize = 16;

/// `exp(x)` with an error of at most 2 units in the last place, for finite `x`. Saturates at the
/// ends of the normal range.
///
/// Writes `x` as `n ln 2 + r` with `|r| <= ln 2 / 2`, and sums the series of `exp(r)` up to `r^7 /
/// 7!`. `exp` of the system is a call per number, which keeps loops from being vectorized.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: products of the first with |n| < 128 are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // exp(88) is below the largest f32, and exp(-87) above the smallest normal one.
    let x = x.clamp(-87.0, 88.0);
    let n = x.mul_add(std::f32::consts::LOG2_E, ROUND) - ROUND;
    let r = (-n).mul_add(LN_2_LOW, (-n).mul_add(LN_2_HIGH, x));
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = f32::mul_add(sum, r, coefficient);
    }
    // 2^n, by its exponent field.
    sum * f32::from_bits(((n as i32 + 127) << 23) as u32)
}

/// Sum of `count` terms in a fixed order.
#[inline(always)]
fn sum_of(count: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let whole = count / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    lanes.iter().sum::<f32>() + (whole..count).map(term).sum::<f32>()
}

/// Largest value; NaNs are skipped.
#[inline(always)]
fn max_of(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied();
    for chunk in chunks {
        // Not `f32::max`: this comparison is one instruction, `max` with its rule for NaN is
        // several.
        for (max, value) in lanes.iter_mut().zip(chunk) {
            *max = if *value > *max { *value } else { *max };
        }
    }
    lanes.into_iter().chain(rest).fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn inverse_root_mean_square(x: &[f32], epsilon: f32) -> f32 {
    1.0 / (sum_of(x.len(), |i| x[i] * x[i]) / x.len() as f32 + epsilon).sqrt()
}

/// RMSNorm (arXiv 1910.07467) of each row: `out = x / sqrt(mean(x^2) + epsilon) * weight`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let scale = inverse_root_mean_square(x, epsilon);
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

/// Backward pass of [`rms_norm`]: adds to `x_gradient` and to `weight_gradient`, which is one row,
/// summed over the rows.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn rms_norm_backward(
    x: &[f32],
    weight: &[f32],
    epsilon: f32,
    out_gradient: &[f32],
    x_gradient: &mut [f32],
    weight_gradient: &mut [f32],
) {
    let width = weight.len();
    // Known equal lengths remove the bounds checks of the inner loop.
    let weight_gradient = &mut weight_gradient[..width];
    let rows = x
        .chunks_exact(width)
        .zip(out_gradient.chunks_exact(width))
        .zip(x_gradient.chunks_exact_mut(width));
    for ((x, dy), dx) in rows {
        let scale = inverse_root_mean_square(x, epsilon);
        let shared =
            sum_of(width, |i| x[i] * dy[i] * weight[i]) * scale * scale * scale / width as f32;
        for i in 0..width {
            weight_gradient[i] += dy[i] * x[i] * scale;
            dx[i] += dy[i] * weight[i] * scale - x[i] * shared;
        }
    }
}

/// Rotates the pairs (i, i + half) of each head in a row. `cos` and `sin` are `[head_dim / 2]`.
///
/// The derivative of a rotation is the rotation by the opposite angle: `sign` -1.
#[inline(always)]
fn rotate_row(row: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
    let half = cos.len();
    for head in row.chunks_exact_mut(2 * half) {
        let (low, high) = head.split_at_mut(half);
        for i in 0..half {
            let (a, b, s) = (low[i], high[i], sign * sin[i]);
            low[i] = a * cos[i] - b * s;
            high[i] = b * cos[i] + a * s;
        }
    }
}

/// Rotary embedding of consecutive rows, `[rows, heads * head_dim]`, in place. `sign` is 1 in the
/// forward pass and -1 in the backward pass.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn rotate(rows: &mut [f32], width: usize, table: RotaryRows<'_>, sign: f32) {
    let half = table.half;
    for (index, row) in rows.chunks_exact_mut(width).enumerate() {
        let position = (table.first + index) % table.length;
        let angles = position * half..(position + 1) * half;
        rotate_row(row, &table.cos[angles.clone()], &table.sin[angles], sign);
    }
}

/// Position of rows of a batch in the rotary table; `cos` and `sin` are `[positions, head_dim /
/// 2]`.
#[derive(Clone, Copy)]
pub(super) struct RotaryRows<'a> {
    pub(super) cos: &'a [f32],
    pub(super) sin: &'a [f32],
    /// Half the head width: angles per position.
    pub(super) half: usize,
    /// Index of the first row in the batch.
    pub(super) first: usize,
    /// Tokens per window.
    pub(super) length: usize,
}

/// `out = silu(gate) * up`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp(-gate)) * up;
    }
}

/// Backward pass of [`swiglu`] in place: `gate` and `up` become their gradients. `out`, the
/// gradient of the output, becomes the output.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn swiglu_backward(gate: &mut [f32], up: &mut [f32], out: &mut [f32]) {
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        let sigmoid = 1.0 / (1.0 + exp(-*gate));
        // Derivative of silu: s + x s (1 - s), with the sigmoid s.
        let silu = *gate * sigmoid;
        let (dy, u) = (*out, *up);
        *out = silu * u;
        *up = dy * silu;
        *gate = dy * u * (sigmoid + silu * (1.0 - sigmoid));
    }
}

/// Causal softmax of the raw scores of consecutive queries and all keys from 0, in place.
///
/// Row r of `scores`, with `keys` elements, belongs to query `first + r`; later keys get
/// probability 0. Writes the log-sum-exp of the scaled scores of each row.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn causal_softmax(
    scores: &mut [f32],
    keys: usize,
    first: usize,
    scale: f32,
    log_sum_exp: &mut [f32],
) {
    for (index, (row, log_sum_exp)) in scores.chunks_exact_mut(keys).zip(log_sum_exp).enumerate() {
        let (seen, future) = row.split_at_mut(first + index + 1);
        future.fill(0.0);
        // Scaled after the subtraction: one product per score, and `exp` gets at most 0.
        let max = max_of(seen);
        for score in seen.iter_mut() {
            *score = exp((*score - max) * scale);
        }
        let sum = sum_of(seen.len(), |i| seen[i]);
        let inverse = 1.0 / sum;
        for score in seen.iter_mut() {
            *score *= inverse;
        }
        *log_sum_exp = max * scale + sum.ln();
    }
}

/// Recomputes the probabilities of [`causal_softmax`] from the raw scores and the saved
/// log-sum-exp, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn causal_probabilities(
    scores: &mut [f32],
    keys: usize,
    first: usize,
    scale: f32,
    log_sum_exp: &[f32],
) {
    for (index, (row, log_sum_exp)) in scores.chunks_exact_mut(keys).zip(log_sum_exp).enumerate() {
        let (seen, future) = row.split_at_mut(first + index + 1);
        future.fill(0.0);
        for score in seen {
            *score = exp(score.mul_add(scale, -log_sum_exp));
        }
    }
}

/// Backward pass of the softmax in place: `gradient`, of the probabilities, becomes that of the raw
/// scores.
///
/// `dot` is the sum of output times gradient of each row. It equals the sum of probability times
/// gradient.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn softmax_backward(
    probabilities: &[f32],
    gradient: &mut [f32],
    keys: usize,
    scale: f32,
    dot: &[f32],
) {
    let rows = probabilities.chunks_exact(keys).zip(gradient.chunks_exact_mut(keys)).zip(dot);
    for ((probabilities, gradient), dot) in rows {
        for (gradient, probability) in gradient.iter_mut().zip(probabilities) {
            *gradient = probability * (*gradient - dot) * scale;
        }
    }
}

/// Dot product of two rows.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let count = left.len();
    let (left, right) = (&left[..count], &right[..count]);
    sum_of(count, |i| left[i] * right[i])
}

/// Cross-entropy of one row of logits with `target`, in nats. The logits become their gradient,
/// `scale * (softmax - one_hot)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn cross_entropy(logits: &mut [f32], target: usize, scale: f32) -> f32 {
    let max = max_of(logits);
    // Read before the logits are overwritten.
    let at_target = logits[target];
    for logit in logits.iter_mut() {
        *logit = exp(*logit - max);
    }
    let sum = sum_of(logits.len(), |i| logits[i]);
    let factor = scale / sum;
    for logit in logits.iter_mut() {
        *logit *= factor;
    }
    logits[target] -= scale;
    sum.ln() + max - at_target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_has_an_error_of_at_most_two_units_in_the_last_place() {
        let worst = (-8_700..8_800)
            .map(|i| i as f32 / 100.0)
            .map(|x| (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs())
            .fold(0.0, f64::max);
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "{worst:e}");
    }

    #[test]
    fn cross_entropy_of_equal_logits_is_the_logarithm_of_their_number() {
        let mut logits = vec![3.0; 37];
        let loss = cross_entropy(&mut logits, 5, 1.0);
        assert!((loss - 37f32.ln()).abs() < 1e-6, "{loss}");
        assert!((logits.iter().sum::<f32>()).abs() < 1e-6, "the gradient of a row adds up to 0");
    }

    #[test]
    fn a_rotation_by_the_opposite_angle_is_the_inverse() {
        let (cos, sin): (Vec<f32>, Vec<f32>) =
            (0..12).map(|i| ((i as f32).cos(), (i as f32).sin())).unzip();
        let original: Vec<f32> = (0..4 * 8).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut rows = original.clone();
        let table = RotaryRows { cos: &cos, sin: &sin, half: 4, first: 2, length: 3 };
        rotate(&mut rows, 8, table, 1.0);
        assert!(rows.iter().zip(&original).any(|(a, b)| (a - b).abs() > 0.1));
        rotate(&mut rows, 8, table, -1.0);
        assert!(rows.iter().zip(&original).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
