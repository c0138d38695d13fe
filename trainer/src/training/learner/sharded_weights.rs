//! The weights of a network on the devices of this process, as the network's passes ask for them.

use burn::tensor::Tensor;
use covey_model::config::ModelConfig;
use covey_model::network::{Unit, WeightSource};
use covey_optim::fsdp::ShardedParameters;

/// The model's words for what the shards do: a unit of the network is a unit of the plan.
pub struct LearnerWeights<'a> {
    shards: &'a mut ShardedParameters,
    num_layers: usize,
}

impl<'a> LearnerWeights<'a> {
    /// The home of a network of this shape.
    pub fn of(shards: &'a mut ShardedParameters, model: &ModelConfig) -> Self {
        Self { shards, num_layers: model.num_layers }
    }
}

impl WeightSource for LearnerWeights<'_> {
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
