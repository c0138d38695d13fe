//! Forward and backward pass on gathered units, on one device or on several.
//!
//! All members of a group process the same unit at the same time: gather, compute on all members,
//! free. The next unit is announced before the current one computes, so its transfer can overlap.
//! The micro-batches of one call share the gather and the reduction of a unit, so gradient
//! accumulation needs no additional transfers.

use burn::tensor::Tensor;

use super::block::{BlockWeights, Keep, SavedBlock};
use super::decoder::{Decoder, TokenBatch};
use super::weight_source::{Unit, WeightSource};
use crate::config::{ActivationCheckpointing, BlockParameters};
use crate::kernels::{Head, HeadGradients, Losses, Targets};

/// A network that runs on the members of a group, with weights from a [`WeightSource`].
///
/// Losses and gradients of one member are added in the order of its micro-batches. One member with
/// one micro-batch per call computes the bits of [`Decoder::loss_backward`]. On the CPU, activation
/// checkpointing does not change them.
#[derive(Debug)]
pub struct ForwardBackward {
    decoders: Vec<Decoder>,
    activation_checkpointing: ActivationCheckpointing,
}

/// State of one micro-batch between two units.
struct MicroBatch<'a> {
    batch: &'a TokenBatch,
    /// The residual stream; in the backward pass, its gradient.
    residual: Tensor<2>,
    saved: Vec<SavedBlock>,
    losses: Losses,
}

/// The micro-batches of each member.
type MicroBatches<'a> = Vec<Vec<MicroBatch<'a>>>;

/// The flat tensors of a unit, one list per member.
type UnitTensors = Vec<Vec<Tensor<1>>>;

impl ForwardBackward {
    /// One decoder per member, all with the same shape.
    ///
    /// # Panics
    /// If `decoders` is empty, or if shapes differ.
    pub fn new(decoders: Vec<Decoder>, activation_checkpointing: ActivationCheckpointing) -> Self {
        let first = decoders.first().expect("a group has at least one member");
        assert!(
            decoders.iter().all(|decoder| decoder.config() == first.config()),
            "members run the same network"
        );
        Self { decoders, activation_checkpointing }
    }

    /// The decoder of each member.
    pub fn decoders(&self) -> &[Decoder] {
        &self.decoders
    }

    /// The blocks that recompute their activations in the backward pass.
    pub fn activation_checkpointing(&self) -> ActivationCheckpointing {
        self.activation_checkpointing
    }

    /// For each member, the sum of the cross-entropies of its targets, in nats. Forward only.
    ///
    /// # Panics
    /// If `batches` does not have one list, possibly empty, per member.
    pub fn loss(
        &self,
        weight_source: &mut dyn WeightSource,
        batches: &[Vec<TokenBatch>],
    ) -> Vec<f64> {
        let (micro_batches, last) = self.forward(weight_source, batches, None);
        // Frees the last block before the head is gathered, which is often the largest unit.
        drop(last);
        let mut heads = self.gather_head(weight_source);
        let micro_batches = self.map(micro_batches, &mut heads, |decoder, head, mut state| {
            let context = decoder.context(state.batch.shape());
            let head = Head { norm: &head.norm, projection: &head.projection };
            state.losses =
                decoder.kernels().loss(context, head, &state.residual, state.batch.targets());
            state
        });
        // Sums are read after the work of all members is queued: each read waits for its device.
        let members = micro_batches.into_iter().zip(&self.decoders);
        members.map(|(micro_batches, decoder)| sum_losses(micro_batches, decoder)).collect()
    }

    /// The sum of [`ForwardBackward::loss`] over all members. Adds the gradient of `scale` times
    /// this sum to the gradients of the weight source.
    ///
    /// With `scale` = 1 / (targets of all members and micro-batches of a step), the gradients of a
    /// step add up to those of its mean loss.
    ///
    /// # Panics
    /// If `batches` does not have one list, possibly empty, per member.
    pub fn loss_backward(
        &self,
        weight_source: &mut dyn WeightSource,
        batches: &[Vec<TokenBatch>],
        scale: f64,
    ) -> f64 {
        let (micro_batches, last) =
            self.forward(weight_source, batches, Some(self.activation_checkpointing));
        let micro_batches = self.head_backward(weight_source, micro_batches, scale as f32);
        let micro_batches = self.blocks_backward(weight_source, micro_batches, last);
        let losses = self.embedding_backward(weight_source, micro_batches);
        losses.into_iter().map(Losses::sum).sum()
    }

    fn num_layers(&self) -> usize {
        self.decoders[0].config().num_layers
    }

    fn is_tied(&self) -> bool {
        self.decoders[0].config().tied
    }

    /// Applies `step` to each micro-batch of each member, in order, with the member's part.
    fn map<'a, P>(
        &self,
        micro_batches: MicroBatches<'a>,
        parts: &mut [P],
        step: impl Fn(&Decoder, &mut P, MicroBatch<'a>) -> MicroBatch<'a>,
    ) -> MicroBatches<'a> {
        assert_eq!(parts.len(), self.decoders.len(), "a weight source has one list per member");
        // Devices work asynchronously, so this loop on one thread keeps all of them busy.
        let members = micro_batches.into_iter().zip(&self.decoders).zip(parts);
        members
            .map(|((micro_batches, decoder), part)| {
                micro_batches.into_iter().map(|state| step(decoder, part, state)).collect()
            })
            .collect()
    }

    /// All micro-batches after the last block, and the weights of this block, with which the
    /// backward pass starts. Activations are kept if `training` is given.
    fn forward<'a>(
        &self,
        weight_source: &mut dyn WeightSource,
        batches: &'a [Vec<TokenBatch>],
        training: Option<ActivationCheckpointing>,
    ) -> (MicroBatches<'a>, Vec<BlockWeights>) {
        let mut micro_batches = self.embed(weight_source, batches);
        let mut weights = Vec::new();
        for layer in 0..self.num_layers() {
            // Before the gather, or two gathered blocks would be in memory at the same time.
            drop(weights);
            weights = blocks(weight_source.gather(Unit::Block(layer)));
            self.prefetch_after(weight_source, layer);
            let keep = match training {
                Some(checkpointing) if !checkpointing.includes(layer) => Keep::All,
                _ => Keep::Narrow,
            };
            micro_batches = self.map(micro_batches, &mut weights, |decoder, weights, mut state| {
                let (residual, saved) =
                    decoder.block(state.batch.shape(), weights, state.residual, keep);
                match training {
                    Some(_) => state.saved.push(saved),
                    None => saved.recycle(decoder.kernels()),
                }
                MicroBatch { residual, ..state }
            });
        }
        (micro_batches, weights)
    }

    fn embed<'a>(
        &self,
        weight_source: &mut dyn WeightSource,
        batches: &'a [Vec<TokenBatch>],
    ) -> MicroBatches<'a> {
        assert_eq!(batches.len(), self.decoders.len(), "one list of micro-batches per member");
        let tables = weight_source.gather(Unit::Embedding);
        weight_source.prefetch(Unit::Block(0));
        let members = batches.iter().zip(&self.decoders).zip(&tables);
        members
            .map(|((batches, decoder), table)| {
                batches.iter().map(|batch| embed_batch(decoder, &table[0], batch)).collect()
            })
            .collect()
    }

    /// Announces the unit after block `layer` in the forward pass.
    fn prefetch_after(&self, weight_source: &mut dyn WeightSource, layer: usize) {
        if layer + 1 < self.num_layers() {
            return weight_source.prefetch(Unit::Block(layer + 1));
        }
        weight_source.prefetch(Unit::Head);
        if self.is_tied() {
            weight_source.prefetch(Unit::Embedding);
        }
    }

    fn gather_head(&self, weight_source: &mut dyn WeightSource) -> Vec<Head<Tensor<1>>> {
        let heads = weight_source.gather(Unit::Head);
        let tables = if self.is_tied() {
            weight_source.gather(Unit::Embedding)
        } else {
            vec![Vec::new(); heads.len()]
        };
        head_parts(heads, tables)
    }

    fn head_gradients(&self, weight_source: &mut dyn WeightSource) -> Vec<Head<Tensor<1>>> {
        let gradients = weight_source.gradients(Unit::Head);
        let tables = if self.is_tied() {
            weight_source.gradients(Unit::Embedding)
        } else {
            vec![Vec::new(); gradients.len()]
        };
        head_parts(gradients, tables)
    }

    /// Computes the losses, and the gradient of the residual stream after the last block.
    fn head_backward<'a>(
        &self,
        weight_source: &mut dyn WeightSource,
        micro_batches: MicroBatches<'a>,
        scale: f32,
    ) -> MicroBatches<'a> {
        let weights = self.gather_head(weight_source);
        let gradients = self.head_gradients(weight_source);
        let mut parts: Vec<_> = weights.into_iter().zip(gradients).collect();
        let micro_batches = self.map(micro_batches, &mut parts, |decoder, part, state| {
            let (weights, gradients) = part;
            let MicroBatch { batch, residual, saved, .. } = state;
            let targets = Targets { tokens: batch.targets(), scale };
            let weights = Head { norm: &weights.norm, projection: &weights.projection };
            let into =
                HeadGradients { norm: &mut gradients.norm, projection: &mut gradients.projection };
            let context = decoder.context(batch.shape());
            let (losses, residual) =
                decoder.kernels().loss_backward(context, weights, residual, targets, into);
            MicroBatch { batch, residual, saved, losses }
        });
        let gradients = parts.into_iter().map(|(_, gradients)| gradients).collect();
        self.reduce_head(weight_source, gradients);
        micro_batches
    }

    fn reduce_head(&self, weight_source: &mut dyn WeightSource, gradients: Vec<Head<Tensor<1>>>) {
        if self.is_tied() {
            let (norms, tables) =
                gradients.into_iter().map(|head| (vec![head.norm], vec![head.projection])).unzip();
            weight_source.reduce(Unit::Head, norms);
            // The embedding is reduced again after the first block, where its lookup adds the
            // second part. In between, its gradient need not stay whole on each device.
            weight_source.reduce(Unit::Embedding, tables);
        } else {
            weight_source.reduce(
                Unit::Head,
                gradients.into_iter().map(|head| vec![head.norm, head.projection]).collect(),
            );
        }
    }

    fn blocks_backward<'a>(
        &self,
        weight_source: &mut dyn WeightSource,
        mut micro_batches: MicroBatches<'a>,
        last: Vec<BlockWeights>,
    ) -> MicroBatches<'a> {
        // The last block is still gathered from the forward pass, which saves one all-gather.
        let mut gathered = Some(last);
        for layer in (0..self.num_layers()).rev() {
            let weights =
                gathered.take().unwrap_or_else(|| blocks(weight_source.gather(Unit::Block(layer))));
            if layer > 0 {
                weight_source.prefetch(Unit::Block(layer - 1));
            }
            let gradients = blocks(weight_source.gradients(Unit::Block(layer)));
            let mut parts: Vec<_> = weights.into_iter().zip(gradients).collect();
            micro_batches = self.map(micro_batches, &mut parts, |decoder, part, mut state| {
                let (weights, gradients) = part;
                let saved = state.saved.pop().expect("each block saved its activations once");
                let shape = state.batch.shape();
                let residual =
                    decoder.block_backward(shape, weights, saved, state.residual, gradients);
                MicroBatch { residual, ..state }
            });
            let gradients: UnitTensors =
                parts.into_iter().map(|(_, gradients)| <[_; 9]>::from(gradients).into()).collect();
            weight_source.reduce(Unit::Block(layer), gradients);
        }
        micro_batches
    }

    fn embedding_backward(
        &self,
        weight_source: &mut dyn WeightSource,
        micro_batches: MicroBatches<'_>,
    ) -> Vec<Losses> {
        let mut tables = weight_source.gradients(Unit::Embedding);
        let members = micro_batches.into_iter().zip(&self.decoders).zip(&mut tables);
        let mut all_losses = Vec::new();
        for ((micro_batches, decoder), table) in members {
            for MicroBatch { batch, residual, losses, .. } in micro_batches {
                decoder.kernels().embed_backward(batch.inputs(), residual, &mut table[0]);
                all_losses.push(losses);
            }
        }
        weight_source.reduce(Unit::Embedding, tables);
        all_losses
    }
}

fn embed_batch<'a>(decoder: &Decoder, table: &Tensor<1>, batch: &'a TokenBatch) -> MicroBatch<'a> {
    let width = decoder.config().hidden_size;
    MicroBatch {
        batch,
        residual: decoder.kernels().embed(table, batch.inputs(), width),
        saved: Vec::new(),
        losses: Losses::Sum(0.0),
    }
}

/// The loss of one member's micro-batches, which are recycled.
fn sum_losses(micro_batches: Vec<MicroBatch<'_>>, decoder: &Decoder) -> f64 {
    micro_batches
        .into_iter()
        .map(|state| {
            decoder.kernels().recycle(state.residual);
            state.losses.sum()
        })
        .sum()
}

/// The tensors of a block by name.
fn blocks(lists: UnitTensors) -> Vec<BlockWeights> {
    lists
        .into_iter()
        .map(|list| {
            let list = <[Tensor<1>; 9]>::try_from(list).expect("a block has nine parameters");
            BlockParameters::from(list)
        })
        .collect()
}

/// The tensors of the head by name. If the head is tied, `tables` has the embedding, otherwise
/// empty lists.
fn head_parts(heads: UnitTensors, tables: UnitTensors) -> Vec<Head<Tensor<1>>> {
    heads
        .into_iter()
        .zip(tables)
        .map(|(mut head, table)| {
            head.extend(table);
            let [norm, projection] = head.try_into().expect("a head has a norm and a projection");
            Head { norm, projection }
        })
        .collect()
}
