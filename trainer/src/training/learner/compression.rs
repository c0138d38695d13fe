//! Who looks for the largest values of a pseudo-gradient: every member where it owns the weights.

use burn::tensor::Device;
use covey_optim::fsdp::FsdpError;
use covey_optim::sparseloco::top_k::{CpuTopK, Share, TopK};
use covey_optim::sparseloco::{Compressor, Delta, Schema};

use super::learner::Learner;

impl Learner {
    /// The delta of a pseudo-gradient, each member at work on the slabs that it owns.
    ///
    /// `pseudo_gradient` holds the tensors of the compressor's schema, in its order. The delta's bytes do not depend on how
    /// many members there are, nor on what they are.
    ///
    /// # Errors
    /// Tensors of another network, and whatever [`Compressor::compress`] refuses.
    pub fn compress(
        &self,
        compressor: &mut Compressor,
        pseudo_gradient: &[Vec<f32>],
    ) -> anyhow::Result<Delta> {
        let schema = compressor.schema().clone();
        let shares = self.shares(&schema)?;
        let slices: Vec<&[f32]> = pseudo_gradient.iter().map(Vec::as_slice).collect();
        Ok(compressor.compress_on(&slices, &shares)?)
    }

    /// Of every tensor of `schema`, the slabs of each member.
    fn shares(&self, schema: &Schema) -> Result<Vec<Vec<Share<'_>>>, FsdpError> {
        let mut shares = vec![Vec::new(); schema.tensors().len()];
        for (parameter, spec) in self.model.parameters().iter().enumerate() {
            let Some(place) = schema.position(&spec.name) else { continue };
            let slabs = self.shards.plan().slabs(parameter, schema.tensors()[place].grid())?;
            let share = |(member, slabs)| Share { slabs, select: self.select(member) };
            shares[place] = slabs.into_iter().map(share).collect();
        }
        Ok(shares)
    }

    /// What finds the largest values on the device of a member.
    fn select(&self, member: usize) -> &dyn TopK {
        self.selects[member].as_ref()
    }
}

/// The kernels of a GPU where `device` is one that has them, else those of the CPU.
pub(super) fn select_on(device: &Device) -> Box<dyn TopK> {
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    if let Some(selector) = covey_optim::sparseloco::top_k::CubeTopK::new(device) {
        return Box::new(selector);
    }
    let _ = device;
    Box::new(CpuTopK)
}
