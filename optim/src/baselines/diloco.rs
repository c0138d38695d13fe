//! DiLoCo: every peer sends its whole pseudo-gradient, and the weights follow the mean.

use std::sync::Arc;

use rayon::prelude::*;

use super::method::{OuterMethod, check_round, descend};
use crate::sparseloco::{Schema, SparseLocoError};

/// DiLoCo (arXiv 2311.08105): the fp32 mean of pseudo-gradients with Nesterov momentum.
///
/// With mean `g`, momentum `m` and velocity `v`: `v = m v + g`, then `weights -= rate (g + m v)`,
/// as in `torch.optim.SGD(nesterov=True)`. Without momentum it is the plain mean: FedAvg at a rate
/// of 1.
pub struct DiLoCo {
    name: String,
    schema: Arc<Schema>,
    momentum: f32,
    velocities: Vec<Vec<f32>>,
}

impl DiLoCo {
    /// Creates the method with velocities of zero. The published momentum is 0.9; 0 disables
    /// momentum. Only names and lengths of the schema are used.
    pub fn new(schema: Arc<Schema>, momentum: f32) -> Self {
        let velocities = schema.tensors().iter().map(|spec| vec![0.0; spec.grid().len()]).collect();
        let name = if momentum == 0.0 {
            "DiLoCo without momentum".to_owned()
        } else {
            "DiLoCo".to_owned()
        };
        Self { name, schema, momentum, velocities }
    }
}

impl OuterMethod for DiLoCo {
    fn name(&self) -> &str {
        &self.name
    }

    fn round(
        &mut self,
        pseudo_gradients: &[Vec<Vec<f32>>],
        weights: &mut [Vec<f32>],
        outer_learning_rate: f64,
    ) -> Result<u64, SparseLocoError> {
        check_round(&self.schema, pseudo_gradients, weights)?;
        let momentum = self.momentum;
        let tensors = self.velocities.par_iter_mut().enumerate().map(|(index, velocity)| {
            let mut step = mean(
                pseudo_gradients.iter().map(|tensors| tensors[index].as_slice()),
                velocity.len(),
            );
            for (step, velocity) in step.iter_mut().zip(velocity) {
                *velocity = momentum * *velocity + *step;
                *step += momentum * *velocity;
            }
            step
        });
        let tensors = tensors.collect();
        descend(&self.schema, weights, tensors, outer_learning_rate)?;
        // Four bytes per fp32 element; the published method does not compress.
        Ok(4 * self.schema.num_elements() as u64)
    }
}

/// The mean of tensors, summed in their order.
fn mean<'a>(tensors: impl ExactSizeIterator<Item = &'a [f32]>, len: usize) -> Vec<f32> {
    let count = tensors.len() as f32;
    let mut mean = vec![0.0; len];
    for tensor in tensors {
        mean.iter_mut().zip(tensor).for_each(|(sum, value)| *sum += *value);
    }
    mean.iter_mut().for_each(|sum| *sum /= count);
    mean
}
