//! The bits of a payload by purpose, for benchmarks.

use super::code_model::CODE_SCALE;
use super::codec::Codec;
use super::gap_model::{GAP_SCALE, class_range};
use super::rans;
use crate::sparseloco::{Delta, SparseLocoError};

/// How the bits of a payload are spent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// Number of values.
    pub entries: usize,
    /// Bits for the positions of values.
    pub position_bits: f64,
    /// Bits for the codes of values.
    pub code_bits: f64,
    /// All other bits: header, models, levels, lengths, states, rounding.
    pub overhead_bits: f64,
}

impl Codec {
    /// Measures how the bits of an encoded delta are spent.
    ///
    /// # Errors
    ///
    /// [`SparseLocoError::OtherSchema`] if the delta has another schema.
    pub fn statistics(&self, delta: &Delta) -> Result<Statistics, SparseLocoError> {
        let total_bits = 8.0 * self.encode(delta)?.len() as f64;
        let (mut position_bits, mut code_bits) = (0.0, 0.0);
        let totals = self.totals(&self.count(delta.entries()));
        for ((totals, record), models) in
            totals.iter().zip(self.records(delta)?).zip(&self.gap_models)
        {
            let gaps = models.get(record.gap_model).expect("the number comes from these models");
            for (class, count) in totals.classes.iter().enumerate().filter(|(_, count)| **count > 0)
            {
                let bits = f64::from(class_range(class as u32).1);
                position_bits +=
                    *count as f64 * (bits + information(gaps.range(class).1, GAP_SCALE));
            }
            for (code, count) in totals.codes.iter().enumerate() {
                code_bits += *count as f64 * information(record.codes.range(code).1, CODE_SCALE);
            }
        }
        let overhead_bits = total_bits - position_bits - code_bits;
        Ok(Statistics { entries: delta.entries().len(), position_bits, code_bits, overhead_bits })
    }
}

/// The information content, in bits, of a symbol of this probability.
fn information(frequency: u32, scale: u32) -> f64 {
    rans::cost(frequency, scale) as f64 / 65536.0
}
