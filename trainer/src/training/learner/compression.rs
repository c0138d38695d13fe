//! Compression of a pseudo-gradient on the devices of the learner.

use crate::system::error::Result;
use burn::tensor::Device;
use covey_optim::fsdp::FsdpError;
use covey_optim::sparseloco::top_k::{CpuTopK, Share, TopK};
use covey_optim::sparseloco::{Compressor, Delta, Schema};

use super::learner::Learner;

impl Learner {
    /// Compresses a pseudo-gradient. Each device selects the largest values of its shard.
    ///
    /// `pseudo_gradient` contains the tensors of the compressor's schema, in its order. The bytes
    /// of the delta depend neither on the number nor on the kind of devices.
    ///
    /// # Errors
    /// Tensors of another model, and errors of [`Compressor::compress`].
    pub fn compress(
        &self,
        compressor: &mut Compressor,
        pseudo_gradient: &[Vec<f32>],
    ) -> Result<Delta> {
        let schema = compressor.schema().clone();
        let shares = self.shares(&schema)?;
        let slices: Vec<&[f32]> = pseudo_gradient.iter().map(Vec::as_slice).collect();
        Ok(compressor.compress_on(&slices, &shares)?)
    }

    /// For each tensor of `schema`, the slabs and the selection kernel of each device.
    fn shares(&self, schema: &Schema) -> Result<Vec<Vec<Share<'_>>>, FsdpError> {
        let mut shares = vec![Vec::new(); schema.tensors().len()];
        for (parameter, spec) in self.model.parameters().iter().enumerate() {
            // A schema need not contain every parameter.
            let Some(index) = schema.position(&spec.name) else { continue };
            let slabs = self.shards.plan().slabs(parameter, schema.tensors()[index].grid())?;
            shares[index] = slabs
                .into_iter()
                .map(|(member, slabs)| Share { slabs, select: self.top_k[member].as_ref() })
                .collect();
        }
        Ok(shares)
    }
}

/// The top-k kernel for `device`: a GPU kernel if there is one, otherwise the CPU kernel.
///
/// All kernels select the same values.
pub(super) fn top_k_on(device: &Device) -> Box<dyn TopK> {
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    if let Some(selector) = covey_optim::sparseloco::top_k::CubeTopK::new(device) {
        return Box::new(selector);
    }
    // Without GPU features the argument is unused.
    let _ = device;
    Box::new(CpuTopK)
}
