//! SparseLoCo with all peers in one process.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::method::{OuterMethod, check_peers, check_round, descend};
use crate::codec::Codec;
use crate::sparseloco::{
    Clip, Compressor, Delta, MeanOver, Schema, SparseLocoConfig, SparseLocoError, aggregate,
};

/// SparseLoCo (arXiv 2508.15706) as in a run: the delta of every peer is compressed, encoded,
/// decoded and averaged.
pub struct SparseLoCo {
    name: String,
    codec: Codec,
    compressors: Vec<Compressor>,
    mean_over: MeanOver,
    clip: Clip,
}

impl SparseLoCo {
    /// Creates the method without error feedback.
    ///
    /// Profile, `k` and transform are those of the schema, see [`SparseLocoConfig::schema`]; decay,
    /// mean and clipping those of the config.
    pub fn new(schema: Arc<Schema>, config: &SparseLocoConfig, num_peers: usize) -> Self {
        let transform = if schema.dct() { " on frequencies" } else { "" };
        Self {
            name: format!("SparseLoCo {}{transform}", schema.profile().name()),
            compressors: vec![Compressor::new(Arc::clone(&schema), config.decay); num_peers],
            codec: Codec::new(schema),
            mean_over: config.mean_over,
            clip: config.clip,
        }
    }

    fn compress(
        &mut self,
        pseudo_gradients: &[Vec<Vec<f32>>],
    ) -> Result<Vec<Vec<u8>>, SparseLocoError> {
        let peers = self.compressors.par_iter_mut().zip(pseudo_gradients);
        let payloads = peers.map(|(compressor, tensors)| {
            let slices: Vec<&[f32]> = tensors.iter().map(Vec::as_slice).collect();
            self.codec.encode(&compressor.compress(&slices)?)
        });
        payloads.collect()
    }

    fn decode(&self, payloads: &[Vec<u8>]) -> BTreeMap<usize, Delta> {
        // Decoded although the deltas are known: the comparison then includes the codec.
        let deltas = payloads
            .iter()
            .map(|bytes| self.codec.decode(bytes).expect("a payload of this codec is valid"));
        deltas.enumerate().collect()
    }
}

impl OuterMethod for SparseLoCo {
    fn name(&self) -> &str {
        &self.name
    }

    fn round(
        &mut self,
        pseudo_gradients: &[Vec<Vec<f32>>],
        weights: &mut [Vec<f32>],
        outer_learning_rate: f64,
    ) -> Result<u64, SparseLocoError> {
        let schema = Arc::clone(self.codec.schema());
        check_peers(self.compressors.len(), pseudo_gradients.len())?;
        check_round(&schema, pseudo_gradients, weights)?;
        let payloads = self.compress(pseudo_gradients)?;
        let step = aggregate(&self.decode(&payloads), self.mean_over, self.clip)?;
        descend(&schema, weights, step.tensors, outer_learning_rate)?;
        let sent: u64 = payloads.iter().map(|bytes| bytes.len() as u64).sum();
        Ok(sent.div_ceil(payloads.len() as u64))
    }
}
