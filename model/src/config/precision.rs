//! The precision in which a network computes.

use burn::tensor::FloatDType;
use serde::{Deserialize, Serialize};

/// Dtype of weights and activations in the forward and backward pass.
///
/// Master weights, gradients, moments, statistics of norms, softmax and losses are fp32 in both
/// cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE 754 single precision.
    #[default]
    Fp32,
    /// The upper 16 bits of fp32: the same range, 8 bits of precision. Tensor cores multiply it
    /// several times faster.
    Bf16,
    // fp16 is not offered: gradients below 3e-8 round to 0, so training would need loss scaling.
}

impl Precision {
    /// Dtype of gathered weights.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::Fp32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
        }
    }

    /// Bytes per number.
    pub fn bytes(self) -> usize {
        match self {
            Self::Fp32 => 4,
            Self::Bf16 => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case() {
        assert_eq!(
            serde_json::to_string(&[Precision::Fp32, Precision::Bf16]).unwrap(),
            r#"["fp32","bf16"]"#
        );
        assert!(serde_json::from_str::<Precision>(r#""fp16""#).is_err());
    }
}
