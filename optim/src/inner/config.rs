//! The constants of AdamW, and the coefficients of an update that follow from them.

use serde::{Deserialize, Serialize};

use super::cpu::Coefficients;
use crate::error::{SettingError, SettingErrors};

/// The constants of AdamW. The learning rate is an argument of every step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the running mean of gradients.
    pub beta1: f64,
    /// Decay of the running mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment, which may be zero.
    pub epsilon: f64,
    /// Weight decay per unit of learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        // Usual values for language models; PyTorch defaults to a `beta2` of 0.999.
        Self { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 }
    }
}

impl AdamWConfig {
    /// Returns every constant that breaks its rule.
    pub fn check(&self) -> Vec<SettingError> {
        let mut findings = SettingErrors::default();
        for (key, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            findings.require(
                (0.0..1.0).contains(&beta),
                key,
                beta,
                "must be at least 0 and below 1",
            );
        }
        let epsilon = self.epsilon;
        findings.require(
            epsilon.is_finite() && epsilon > 0.0,
            "epsilon",
            epsilon,
            "must be above 0",
        );
        let decay = self.weight_decay;
        findings.require(
            decay.is_finite() && decay >= 0.0,
            "weight_decay",
            decay,
            "must be 0 or more",
        );
        findings.0
    }

    /// The coefficients of update `t`, counted from 1.
    pub(super) fn coefficients(
        &self,
        t: u64,
        learning_rate: f64,
        gradient_scale: f32,
    ) -> Coefficients {
        // Computed in f64: in fp32 the differences would lose digits in the first updates. `powf`
        // is fine here: only the weights of this peer depend on it.
        let bias1 = 1.0 - self.beta1.powf(t as f64);
        let bias2 = 1.0 - self.beta2.powf(t as f64);
        Coefficients {
            keep: (1.0 - learning_rate * self.weight_decay) as f32,
            gradient_scale,
            beta1: self.beta1 as f32,
            beta1_rest: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            beta2_rest: (1.0 - self.beta2) as f32,
            step_size: (learning_rate / bias1) as f32,
            root_scale: (1.0 / bias2.sqrt()) as f32,
            epsilon: self.epsilon as f32,
        }
    }
}
