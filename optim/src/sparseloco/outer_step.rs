//! The outer step: the update of the shared weights with the aggregate of a round.

use multiversion::multiversion;
use rayon::prelude::*;

use super::aggregate::Aggregate;
use super::config::TASK_LEN;
use super::error::SparseLocoError;
use super::schema::Schema;

/// Updates the weights: `weights = weights - rate * step`, without momentum or weight decay, as in
/// Algorithm 1 of SparseLoCo. Tensors are in the order of the schema.
///
/// The rate is rounded to `f32` once. A tensor is left unchanged if the update would make it NaN or
/// infinite; the names of such tensors are returned.
///
/// # Errors
///
/// [`SparseLocoError`] if the weights or the step have another form than the schema. All weights
/// are unchanged in that case.
pub fn outer_step<'a>(
    schema: &'a Schema,
    weights: &mut [&mut [f32]],
    step: &Aggregate,
    rate: f64,
) -> Result<Vec<&'a str>, SparseLocoError> {
    schema.check_lengths("weight", weights.iter().map(|tensor| tensor.len()))?;
    schema.check_lengths("step", step.tensors.iter().map(Vec::len))?;
    let tensors = schema.tensors().par_iter().zip(weights).zip(&step.tensors);
    let skipped = tensors.filter_map(|((spec, weights), step)| {
        let is_applied = apply(weights, step, rate as f32);
        (!is_applied).then_some(spec.name())
    });
    Ok(skipped.collect())
}

/// Updates one tensor. Returns false, and changes nothing, if the result would not be finite.
fn apply(weights: &mut [f32], step: &[f32], rate: f32) -> bool {
    // The whole tensor is tested before the first write: all peers skip the same tensors whole, and
    // no task of a tensor is ahead of a failing one.
    let finite = weights
        .par_chunks(TASK_LEN)
        .zip(step.par_chunks(TASK_LEN))
        .all(|(w, s)| stays_finite(w, s, rate));
    if finite {
        weights
            .par_chunks_mut(TASK_LEN)
            .zip(step.par_chunks(TASK_LEN))
            .for_each(|(w, s)| descend(w, s, rate));
    }
    finite
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn stays_finite(weights: &[f32], step: &[f32], rate: f32) -> bool {
    // The maximum of magnitudes as bits: infinity and NaN are above all finite numbers, and integer
    // maxima vectorize.
    let results = weights.iter().zip(step).map(|(weight, step)| *weight - rate * *step);
    results.fold(0, |most, result| most.max(result.to_bits() & 0x7fff_ffff))
        < f32::INFINITY.to_bits()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn descend(weights: &mut [f32], step: &[f32], rate: f32) {
    // The product is rounded before the difference. Rust never fuses them, so every peer gets the
    // same bits, with or without FMA.
    weights.iter_mut().zip(step).for_each(|(weight, step)| *weight -= rate * *step);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sparseloco::config::Profile;

    #[test]
    fn a_tensor_that_would_not_be_finite_is_left_unchanged() {
        let schema = Schema::new(Profile::Covey, 64, [("a", &[2][..]), ("b", &[1][..])]).unwrap();
        let (mut a, mut b) = ([1.0, 2.0], [3.0]);
        let step = Aggregate { tensors: vec![vec![f32::NAN, 1.0], vec![2.0]] };
        let skipped = outer_step(&schema, &mut [&mut a, &mut b], &step, 0.5).unwrap();
        assert_eq!((skipped, a, b), (vec!["a"], [1.0, 2.0], [2.0]));
    }
}
