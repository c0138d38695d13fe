//! Which numbers are taken from training: finite ones, small enough that no sum of them is not.

use multiversion::multiversion;
use rayon::prelude::*;

use crate::sparseloco::error::SparseLocoError;
use crate::sparseloco::schema::Schema;

/// Largest magnitude of a pseudo-gradient. A frequency is at most 64 times the largest element, and with a decay of at
/// most 0.999 the feedback is a thousand times a step, so that no sum can leave the levels' range.
pub(crate) const INPUT_LIMIT: f32 = 1e25;

/// Elements that are worth the hand-over to another thread.
const GRAIN: usize = 16 * 1024;

impl Schema {
    /// Finds the first tensor with a NaN or a magnitude above `limit`; `what` names the tensors in the error.
    pub(crate) fn check_range<'a>(
        &self,
        what: &'static str,
        limit: f32,
        tensors: impl Iterator<Item = &'a [f32]>,
    ) -> Result<(), SparseLocoError> {
        let fits = |tensor: &[f32]| tensor.par_chunks(GRAIN).all(|part| is_within(part, limit));
        match self.tensors().iter().zip(tensors).find(|(_, tensor)| !fits(tensor)) {
            None => Ok(()),
            Some((spec, _)) => {
                Err(SparseLocoError::NonFinite { what, name: spec.name().to_owned() })
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn is_within(values: &[f32], limit: f32) -> bool {
    // Bit patterns of magnitudes order NaN above everything, and their maximum needs no branch.
    values.iter().fold(0, |max, value| max.max(value.to_bits() & 0x7fff_ffff)) <= limit.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_for_both_signs_and_nan() {
        assert!(is_within(&[0.0, -1.0, 1.0], 1.0) && is_within(&[], 1.0));
        for bad in [1.000_001, -2.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN] {
            assert!(!is_within(&[0.0, bad, 0.5], 1.0), "{bad}");
        }
    }
}
