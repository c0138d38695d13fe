//! Initial weights as a pure function of (seed, parameter name, element index).
//!
//! Any range of any tensor has the same bits on each number of threads, devices and machines.

use rayon::prelude::*;

use super::counter_rng::CounterRng;
use super::normal::Normal;
use crate::config::{ModelConfig, ParameterSpec, Role};

/// Elements per parallel task: small enough to divide a matrix among cores, large enough to hide
/// the cost of a task.
const ELEMENTS_PER_TASK: usize = 65_536;

/// Computes the initial weights of one network from one seed.
///
/// | role | distribution |
/// |---|---|
/// | embedding | normal, σ = 1 |
/// | norm | exactly 1 |
/// | input | normal, σ = 0.02 |
/// | output of block l | normal, σ = 0.02 / √(2 (l + 1)) |
/// | head | normal within 3 σ, σ = hidden^-½ |
///
/// The recipe is that of torchtitan for Llama 3. It truncates inputs and outputs at ±2, that is at
/// 100 σ or more. Here no number exceeds 8.3 σ, which makes this truncation superfluous.
///
/// A tied embedding is also the head, and σ = 1 would give logits of size √hidden. It has the
/// distribution of the head instead.
#[derive(Clone, Copy, Debug)]
pub struct Initializer {
    seed: u64,
    hidden_size: usize,
    tied: bool,
}

impl Initializer {
    /// The initializer of networks with the sizes of `config`. Each `seed` gives other weights.
    pub fn new(seed: u64, config: &ModelConfig) -> Self {
        Self { seed, hidden_size: config.hidden_size, tied: config.tied }
    }

    /// All elements of a parameter, in row-major order.
    pub fn tensor(&self, spec: &ParameterSpec) -> Vec<f32> {
        let mut numbers = vec![0.0; spec.num_elements()];
        self.fill(spec, 0, &mut numbers);
        numbers
    }

    /// Fills `numbers` with the elements of a parameter from `first_index` on, in row-major order.
    pub fn fill(&self, spec: &ParameterSpec, first_index: u64, numbers: &mut [f32]) {
        let Some(normal) = self.distribution(spec.role) else {
            numbers.fill(1.0);
            return;
        };
        // The name is the label, so a parameter keeps its numbers if layers are added around it.
        let rng = CounterRng::new(self.seed, &spec.name);
        numbers.par_chunks_mut(ELEMENTS_PER_TASK).enumerate().for_each(|(task, numbers)| {
            normal.fill(rng, first_index + (task * ELEMENTS_PER_TASK) as u64, numbers);
        });
    }

    /// The distribution of a parameter's elements; `None` for a constant 1.
    fn distribution(&self, role: Role) -> Option<Normal> {
        // Scales a projection of hidden_size normalized inputs to logits of variance about 1.
        let head = Normal::within_three_sigma(1.0 / (self.hidden_size as f64).sqrt());
        match role {
            Role::Norm => None,
            Role::Embedding if self.tied => Some(head),
            Role::Embedding => Some(Normal::untruncated(1.0)),
            Role::Input => Some(Normal::untruncated(0.02)),
            // Each block adds two such outputs to the residual stream, so its variance would grow
            // linearly with depth. With the factor it grows logarithmically.
            Role::Output { layer } => {
                Some(Normal::untruncated(0.02 / (2.0 * (layer + 1) as f64).sqrt()))
            }
            Role::Head => Some(head),
        }
    }
}
