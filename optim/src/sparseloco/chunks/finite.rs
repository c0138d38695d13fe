//! The range of valid pseudo-gradients: finite, and small enough that all sums stay finite.

use multiversion::multiversion;
use rayon::prelude::*;

use crate::sparseloco::config::TASK_LEN;
use crate::sparseloco::error::SparseLocoError;
use crate::sparseloco::schema::Schema;

/// The largest magnitude of a pseudo-gradient. A frequency is at most 64 times the largest element.
/// With a decay of at most 0.999 the error feedback is at most a thousand times a pseudo-gradient.
/// So all values stay below the largest level, 1e30.
pub(crate) const INPUT_LIMIT: f32 = 1e25;

impl Schema {
    /// Returns an error that names the first tensor with a NaN or a magnitude above `limit`; `what`
    /// names the tensors in the error.
    pub(crate) fn check_range<'a>(
        &self,
        what: &'static str,
        limit: f32,
        tensors: impl Iterator<Item = &'a [f32]>,
    ) -> Result<(), SparseLocoError> {
        for (spec, tensor) in self.tensors().iter().zip(tensors) {
            if !tensor.par_chunks(TASK_LEN).all(|part| is_within(part, limit)) {
                return Err(SparseLocoError::NonFinite { what, name: spec.name().to_owned() });
            }
        }
        Ok(())
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn is_within(values: &[f32], limit: f32) -> bool {
    // As bit patterns of magnitudes NaN is above everything, and their maximum needs no branch.
    values.iter().fold(0, |max, value| max.max(value.to_bits() & 0x7fff_ffff)) <= limit.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_above_the_limit_and_nan_are_rejected() {
        assert!(is_within(&[0.0, -1.0, 1.0], 1.0) && is_within(&[], 1.0));
        for bad in [1.000_001, -2.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN] {
            assert!(!is_within(&[0.0, bad, 0.5], 1.0), "{bad}");
        }
    }
}
