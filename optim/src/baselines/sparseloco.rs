//! SparseLoCo with all its peers in one place.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::method::{OuterMethod, check_peers, check_round, descend};
use crate::codec::Codec;
use crate::sparseloco::{
    Clip, Compressor, Delta, MeanOver, Schema, SparseLocoConfig, SparseLocoError, aggregate,
};

/// SparseLoCo (arXiv 2508.15706) as a run does it: every peer's delta is compressed, encoded, decoded and averaged.
pub struct SparseLoCo {
    name: String,
    codec: Codec,
    compressors: Vec<Compressor>,
    mean_over: MeanOver,
    clip: Clip,
}

impl SparseLoCo {
    /// Peers with nothing left unsaid.
    ///
    /// Profile, `k` and transform are the schema's, see [`SparseLocoConfig::schema`]; decay and averaging the config's.
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
        let decode = |bytes: &Vec<u8>| {
            self.codec.decode(bytes).expect("what this codec has encoded decodes")
        };
        payloads.iter().map(decode).enumerate().collect()
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
