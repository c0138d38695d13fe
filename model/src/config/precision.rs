//! The numbers a network computes with.

use burn::tensor::FloatDType;
use serde::{Deserialize, Serialize};

/// What weights and activations are rounded to while computing. Master weights, gradients, moments, norms' statistics,
/// softmax and losses are fp32 either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE single precision.
    #[default]
    Fp32,
    /// The upper half of it: the same range with 8 bits of precision, which hardware multiplies several times faster.
    Bf16,
}

impl Precision {
    /// The dtype of gathered weights.
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
