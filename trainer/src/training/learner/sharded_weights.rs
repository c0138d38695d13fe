//! The weight source of a model that is sharded over the devices of this process.

use burn::tensor::Tensor;
use covey_model::config::ModelConfig;
use covey_model::network::{Unit, WeightSource};
use covey_optim::fsdp::ShardedParameters;

/// Gathers weights from shards, and reduces gradients to shards, one FSDP unit at a time.
///
/// This adapter connects the crates for model and optimizer, which do not know each other.
pub struct ShardedWeights<'a> {
    shards: &'a mut ShardedParameters,
    num_layers: usize,
}

impl<'a> ShardedWeights<'a> {
    /// The weights of `model` in `shards`.
    pub fn new(shards: &'a mut ShardedParameters, model: &ModelConfig) -> Self {
        Self { shards, num_layers: model.num_layers }
    }
}

// Both crates number units in canonical order: embedding, blocks, head.
impl WeightSource for ShardedWeights<'_> {
    fn prefetch(&mut self, unit: Unit) {
        self.shards.prefetch(unit.index(self.num_layers));
    }

    fn gather(&mut self, unit: Unit) -> Vec<Vec<Tensor<1>>> {
        self.shards.gather(unit.index(self.num_layers))
    }

    fn gradients(&mut self, unit: Unit) -> Vec<Vec<Tensor<1>>> {
        self.shards.gradients(unit.index(self.num_layers))
    }

    fn reduce(&mut self, unit: Unit, gradients: Vec<Vec<Tensor<1>>>) {
        self.shards.reduce(unit.index(self.num_layers), gradients);
    }
}
