//! First weights as a pure function of (seed, tensor name, element index).
//!
//! Any part of any tensor can be made anywhere, on any number of threads or
//! machines, and comes out with the same bits; nothing is ever broadcast.

use rayon::prelude::*;

use super::counter_rng::CounterRng;
use super::normal::Normal;
use crate::config::{ModelConfig, ParameterSpec, Role};

/// Elements per parallel task: small enough to share a matrix among cores, large enough to hide the sharing.
const TASK: usize = 65_536;

/// Maker of first weights for one network and one seed.
///
/// | role | distribution |
/// |---|---|
/// | embedding | normal, σ = 1 |
/// | norm | exactly 1 |
/// | input | normal, σ = 0.02 |
/// | output of block l | normal, σ = 0.02 / √(2 (l + 1)) |
/// | head | normal within 3 σ, σ = hidden^-½ |
///
/// The recipe is torchtitan's for Llama 3. There inputs and outputs are cut at
/// an absolute ±2, that is at 100 σ or more; no draw of ours passes 8.3 σ, so
/// that cut has nothing to do here. A *tied* embedding is also the head, and
/// σ = 1 would give logits of size √hidden: it takes the head's distribution.
#[derive(Clone, Copy, Debug)]
pub struct Initializer {
    seed: u64,
    hidden_size: usize,
    tied: bool,
}

impl Initializer {
    /// The maker for `config`; every `seed` is another network.
    pub fn new(seed: u64, config: &ModelConfig) -> Self {
        Self { seed, hidden_size: config.hidden_size, tied: config.tied }
    }

    /// A whole tensor.
    pub fn tensor(&self, spec: &ParameterSpec) -> Vec<f32> {
        let mut numbers = vec![0.0; spec.num_elements()];
        self.fill(spec, 0, &mut numbers);
        numbers
    }

    /// Fills `numbers` with the tensor's elements from `first_index` on, in row-major order.
    pub fn fill(&self, spec: &ParameterSpec, first_index: u64, numbers: &mut [f32]) {
        let Some(normal) = self.distribution(spec.role) else {
            numbers.fill(1.0);
            return;
        };
        let rng = CounterRng::new(self.seed, &spec.name);
        numbers.par_chunks_mut(TASK).enumerate().for_each(|(task, numbers)| {
            normal.fill(rng, first_index + (task * TASK) as u64, numbers);
        });
    }

    /// `None` stands for all ones.
    fn distribution(&self, role: Role) -> Option<Normal> {
        let head = || Normal::within_three_sigma(1.0 / (self.hidden_size as f64).sqrt());
        match role {
            Role::Norm => None,
            Role::Embedding if self.tied => Some(head()),
            Role::Embedding => Some(Normal::uncut(1.0)),
            Role::Input => Some(Normal::uncut(0.02)),
            Role::Output { layer } => Some(Normal::uncut(0.02 / (2.0 * (layer + 1) as f64).sqrt())),
            Role::Head => Some(head()),
        }
    }
}
