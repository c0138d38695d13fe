//! Passes over a network whose weights are brought together unit by unit, on one device or on several.
//!
//! Every member takes its own micro-batches through the same unit at the same time: gather, compute on all members,
//! free. The next unit is announced before the present one computes, so that its transfer can run meanwhile.
//! Micro-batches that are handled together share a unit's gather and its reduction, so accumulating gradients costs no
//! extra transfers.

use burn::tensor::Tensor;

use super::block::{BlockWeights, Keep, SavedBlock};
use super::decoder::{Decoder, TokenBatch};
use super::weight_source::{Unit, WeightSource};
use crate::config::{ActivationCheckpointing, BlockParameters};
use crate::kernels::{Head, HeadGradients, Losses, Targets};

/// A network driven on several members at once; their weights come from a [`WeightSource`].
///
/// Losses and gradients of one member are added in the order of its micro-batches. One member with one micro-batch at a
/// time computes what [`Decoder::loss_backward`] computes, to the last bit, and so does recomputation on the CPU.
#[derive(Debug)]
pub struct ForwardBackward {
    decoders: Vec<Decoder>,
    activation_checkpointing: ActivationCheckpointing,
}

/// One micro-batch on its way through the network and back.
struct Stream<'a> {
    batch: &'a TokenBatch,
    /// The residual stream; on the way back, its gradient.
    residual: Tensor<2>,
    saved: Vec<SavedBlock>,
    losses: Losses,
}

/// Of every member, its micro-batches.
type Streams<'a> = Vec<Vec<Stream<'a>>>;

/// Of every member, the flat tensors of a unit.
type MemberTensors = Vec<Vec<Tensor<1>>>;

impl ForwardBackward {
    /// One decoder per member, all of the same shape.
    ///
    /// # Panics
    /// If there is none, or if their shapes differ.
    pub fn new(decoders: Vec<Decoder>, activation_checkpointing: ActivationCheckpointing) -> Self {
        let first = decoders.first().expect("a network runs on at least one member");
        assert!(
            decoders.iter().all(|decoder| decoder.config() == first.config()),
            "members run the same network"
        );
        Self { decoders, activation_checkpointing }
    }

    /// The network on each member's device.
    pub fn decoders(&self) -> &[Decoder] {
        &self.decoders
    }

    /// Which blocks are computed again in the backward pass.
    pub fn activation_checkpointing(&self) -> ActivationCheckpointing {
        self.activation_checkpointing
    }

    /// Of every member, the sum of the cross-entropies of its targets, in nats.
    ///
    /// # Panics
    /// Unless `batches` has one list, empty or not, for each member.
    pub fn loss(
        &self,
        weight_source: &mut dyn WeightSource,
        batches: &[Vec<TokenBatch>],
    ) -> Vec<f64> {
        let (streams, last) = self.forward(weight_source, batches, None);
        drop(last);
        let mut heads = self.gather_head(weight_source);
        let streams = self.each(streams, &mut heads, |decoder, head, mut stream| {
            let context = decoder.context(stream.batch.shape());
            let head = Head { norm: &head.norm, projection: &head.projection };
            stream.losses =
                decoder.kernels().loss(context, head, &stream.residual, stream.batch.targets());
            stream
        });
        let sums = |(streams, decoder): (Vec<Stream<'_>>, &Decoder)| {
            let read = |stream: Stream<'_>| {
                decoder.kernels().recycle(stream.residual);
                stream.losses.sum()
            };
            streams.into_iter().map(read).sum()
        };
        streams.into_iter().zip(&self.decoders).map(sums).collect()
    }

    /// The sum of all members' [`ForwardBackward::loss`], adding the gradient of `scale` times it to the residence's gradients.
    ///
    /// With `scale` = 1 / (targets of all members and micro-batches of a step), they add up to those of the mean loss.
    ///
    /// # Panics
    /// Unless `batches` has one list, empty or not, for each member.
    pub fn loss_backward(
        &self,
        weight_source: &mut dyn WeightSource,
        batches: &[Vec<TokenBatch>],
        scale: f64,
    ) -> f64 {
        let (streams, last) =
            self.forward(weight_source, batches, Some(self.activation_checkpointing));
        let streams = self.head_backward(weight_source, streams, scale as f32);
        let streams = self.blocks_backward(weight_source, streams, last);
        let losses = self.embedding_backward(weight_source, streams);
        losses.into_iter().map(Losses::sum).sum()
    }

    fn num_layers(&self) -> usize {
        self.decoders[0].config().num_layers
    }

    fn is_tied(&self) -> bool {
        self.decoders[0].config().tied
    }

    /// Runs `step` for every member's part and every one of its streams, in order.
    fn each<'a, P>(
        &self,
        streams: Streams<'a>,
        parts: &mut [P],
        step: impl Fn(&Decoder, &mut P, Stream<'a>) -> Stream<'a>,
    ) -> Streams<'a> {
        assert_eq!(parts.len(), self.decoders.len(), "a residence has one list per member");
        let members = streams.into_iter().zip(&self.decoders).zip(parts);
        members
            .map(|((streams, decoder), part)| {
                streams.into_iter().map(|s| step(decoder, part, s)).collect()
            })
            .collect()
    }

    /// All streams after the last block, whose weights come along: the way back begins with them.
    fn forward<'a>(
        &self,
        weight_source: &mut dyn WeightSource,
        batches: &'a [Vec<TokenBatch>],
        training: Option<ActivationCheckpointing>,
    ) -> (Streams<'a>, Vec<BlockWeights>) {
        let mut streams = self.embed(weight_source, batches);
        let mut weights = Vec::new();
        for layer in 0..self.num_layers() {
            drop(weights);
            weights = blocks(weight_source.gather(Unit::Block(layer)));
            self.prefetch_after(weight_source, layer);
            streams = self.each(streams, &mut weights, |decoder, weights, mut stream| {
                let keep = if training.is_some_and(|activation_checkpointing| {
                    !activation_checkpointing.includes(layer)
                }) {
                    Keep::All
                } else {
                    Keep::Narrow
                };
                let (output, saved) =
                    decoder.block(stream.batch.shape(), weights, stream.residual, keep);
                match training {
                    Some(_) => stream.saved.push(saved),
                    None => saved.recycle(decoder.kernels()),
                }
                Stream { residual: output, ..stream }
            });
        }
        (streams, weights)
    }

    fn embed<'a>(
        &self,
        weight_source: &mut dyn WeightSource,
        batches: &'a [Vec<TokenBatch>],
    ) -> Streams<'a> {
        assert_eq!(
            batches.len(),
            self.decoders.len(),
            "every member has its list of micro-batches"
        );
        let tables = weight_source.gather(Unit::Embedding);
        weight_source.prefetch(Unit::Block(0));
        let members = batches.iter().zip(&self.decoders).zip(&tables);
        let embed =
            |((batches, decoder), table): ((&'a Vec<TokenBatch>, &Decoder), &Vec<Tensor<1>>)| {
                let width = decoder.config().hidden_size;
                let stream = |batch: &'a TokenBatch| Stream {
                    batch,
                    residual: decoder.kernels().embed(&table[0], batch.inputs(), width),
                    saved: Vec::new(),
                    losses: Losses::Sum(0.0),
                };
                batches.iter().map(stream).collect()
            };
        members.map(embed).collect()
    }

    /// Announces what follows block `layer` on the way forward.
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

    /// Losses, and the gradient of the residual stream after the last block.
    fn head_backward<'a>(
        &self,
        weight_source: &mut dyn WeightSource,
        streams: Streams<'a>,
        scale: f32,
    ) -> Streams<'a> {
        let weights = self.gather_head(weight_source);
        let gradients = weight_source.gradients(Unit::Head);
        let tables = if self.is_tied() {
            weight_source.gradients(Unit::Embedding)
        } else {
            vec![Vec::new(); gradients.len()]
        };
        let mut parts: Vec<_> = weights.into_iter().zip(head_parts(gradients, tables)).collect();
        let streams = self.each(streams, &mut parts, |decoder, (weights, gradients), stream| {
            let Stream { batch, residual, saved, .. } = stream;
            let targets = Targets { tokens: batch.targets(), scale };
            let weights = Head { norm: &weights.norm, projection: &weights.projection };
            let into =
                HeadGradients { norm: &mut gradients.norm, projection: &mut gradients.projection };
            let context = decoder.context(batch.shape());
            let (losses, residual) =
                decoder.kernels().loss_backward(context, weights, residual, targets, into);
            Stream { batch, residual, saved, losses }
        });
        self.reduce_head(
            weight_source,
            parts.into_iter().map(|(_, gradients)| gradients).collect(),
        );
        streams
    }

    fn reduce_head(&self, weight_source: &mut dyn WeightSource, gradients: Vec<Head<Tensor<1>>>) {
        if self.is_tied() {
            let (norms, tables) =
                gradients.into_iter().map(|head| (vec![head.norm], vec![head.projection])).unzip();
            weight_source.reduce(Unit::Head, norms);
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
        mut streams: Streams<'a>,
        last: Vec<BlockWeights>,
    ) -> Streams<'a> {
        let mut at_hand = Some(last);
        for layer in (0..self.num_layers()).rev() {
            let weights =
                at_hand.take().unwrap_or_else(|| blocks(weight_source.gather(Unit::Block(layer))));
            if layer > 0 {
                weight_source.prefetch(Unit::Block(layer - 1));
            }
            let gradients = blocks(weight_source.gradients(Unit::Block(layer)));
            let mut parts: Vec<_> = weights.into_iter().zip(gradients).collect();
            streams =
                self.each(streams, &mut parts, |decoder, (weights, gradients), mut stream| {
                    let saved = stream.saved.pop().expect("every block saved once");
                    let shape = stream.batch.shape();
                    let residual =
                        decoder.block_backward(shape, weights, saved, stream.residual, gradients);
                    Stream { residual, ..stream }
                });
            let gradients: MemberTensors =
                parts.into_iter().map(|(_, gradients)| <[_; 9]>::from(gradients).into()).collect();
            weight_source.reduce(Unit::Block(layer), gradients);
        }
        streams
    }

    fn embedding_backward(
        &self,
        weight_source: &mut dyn WeightSource,
        streams: Streams<'_>,
    ) -> Vec<Losses> {
        let mut tables = weight_source.gradients(Unit::Embedding);
        let members = streams.into_iter().zip(&self.decoders).zip(&mut tables);
        let mut losses = Vec::new();
        for ((streams, decoder), table) in members {
            for Stream { batch, residual, losses: of_stream, .. } in streams {
                decoder.kernels().embed_backward(batch.inputs(), residual, &mut table[0]);
                losses.push(of_stream);
            }
        }
        weight_source.reduce(Unit::Embedding, tables);
        losses
    }
}

/// A block's tensors by name.
fn blocks(lists: MemberTensors) -> Vec<BlockWeights> {
    let block = |list: Vec<Tensor<1>>| {
        <[Tensor<1>; 9]>::try_from(list).expect("a block has nine parameters")
    };
    lists.into_iter().map(|list| BlockParameters::from(block(list))).collect()
}

/// The head's tensors by name, of its own unit and, if it is tied, of the embedding's.
fn head_parts(heads: MemberTensors, tables: MemberTensors) -> Vec<Head<Tensor<1>>> {
    let head = |(mut head, table): (Vec<Tensor<1>>, Vec<Tensor<1>>)| {
        head.extend(table);
        let [norm, projection] = head.try_into().expect("a head has a norm and a projection");
        Head { norm, projection }
    };
    heads.into_iter().zip(tables).map(head).collect()
}
