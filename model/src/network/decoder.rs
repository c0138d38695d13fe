//! The whole network: loss, gradients and logits of token windows.

use burn::tensor::{Device, Tensor};

use super::block::Keep;
use crate::config::{ModelConfig, Parameters, Precision, RopeTable};
use crate::error::BatchError;
use crate::kernels::burn::BurnKernels;
use crate::kernels::{
    BatchShape, BlockContext, Head, HeadGradients, Kernels, Targets, kernels_for,
};

/// Weights of a network, or anything shaped like them: one flat fp32 tensor per parameter.
pub type Weights = Parameters<Tensor<1>>;

/// A network of one shape on one device; the weights are passed in, so that they may live sharded, gathered or averaged
/// elsewhere.
#[derive(Debug)]
pub struct Decoder {
    config: ModelConfig,
    rope: RopeTable,
    device: Device,
    kernels: Box<dyn Kernels>,
}

/// Windows of tokens to train on or to measure, each one token longer than the network sees: inputs are all but the
/// last token, targets all but the first.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    inputs: Vec<u32>,
    targets: Vec<u32>,
    shape: BatchShape,
}

impl TokenBatch {
    /// Cuts `tokens`, `[sequences, length + 1]` in row-major order, into inputs and targets.
    ///
    /// # Errors
    /// [`BatchError`] if the tokens do not divide into windows of at least two, are more than `config` has positions
    /// for, or name ids outside its vocabulary.
    pub fn new(tokens: &[u32], sequences: usize, config: &ModelConfig) -> Result<Self, BatchError> {
        if sequences == 0 || tokens.len() < 2 * sequences || !tokens.len().is_multiple_of(sequences)
        {
            return Err(BatchError::Ragged { tokens: tokens.len(), sequences });
        }
        let window = tokens.len() / sequences;
        let shape = BatchShape { sequences, length: window - 1 };
        check_tokens(tokens, shape.length, config)?;
        let rows = || tokens.chunks_exact(window);
        Ok(Self {
            inputs: rows().flat_map(|row| &row[..window - 1]).copied().collect(),
            targets: rows().flat_map(|row| &row[1..]).copied().collect(),
            shape,
        })
    }

    /// Number of tokens predicted.
    pub fn num_targets(&self) -> usize {
        self.targets.len()
    }

    /// The tokens predicted, window after window.
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    pub(crate) fn inputs(&self) -> &[u32] {
        &self.inputs
    }

    pub(crate) fn shape(&self) -> BatchShape {
        self.shape
    }
}

pub(crate) fn check_tokens(
    tokens: &[u32],
    length: usize,
    config: &ModelConfig,
) -> Result<(), BatchError> {
    if length > config.max_positions {
        return Err(BatchError::TooLong { length, max_positions: config.max_positions });
    }
    match tokens.iter().find(|token| **token as usize >= config.vocab_size) {
        Some(token) => {
            Err(BatchError::UnknownToken { token: *token, vocab_size: config.vocab_size })
        }
        None => Ok(()),
    }
}

impl Decoder {
    /// A network on `device`, with the fastest kernels there.
    pub fn new(config: ModelConfig, device: &Device) -> Self {
        Self::with_kernels(config, device, kernels_for(device))
    }

    /// A network on `device` with the fastest kernels that compute in `precision`: in bf16 always the composed ones.
    ///
    /// Weights are passed in [`Precision::dtype`]; gradients are fp32 sums either way.
    pub fn with_precision(config: ModelConfig, device: &Device, precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => Self::new(config, device),
            Precision::Bf16 => Self::composed(config, device),
        }
    }

    /// The same network in plain tensor operations, which compute in the dtype of the weights they get.
    pub fn composed(config: ModelConfig, device: &Device) -> Self {
        Self::with_kernels(config, device, Box::new(BurnKernels::new(device.clone())))
    }

    /// The same network with kernels of the caller's choice, made for `device`.
    pub fn with_kernels(config: ModelConfig, device: &Device, kernels: Box<dyn Kernels>) -> Self {
        Self { rope: RopeTable::new(&config), config, device: device.clone(), kernels }
    }

    /// The network's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where weights and activations live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn rope(&self) -> &RopeTable {
        &self.rope
    }

    pub(crate) fn kernels(&self) -> &dyn Kernels {
        self.kernels.as_ref()
    }

    pub(crate) fn context(&self, batch: BatchShape) -> BlockContext<'_> {
        BlockContext { config: &self.config, rope: &self.rope, batch }
    }

    /// A zero for every parameter: gradients before the first backward pass.
    pub fn zeros(&self) -> Weights {
        self.config.parameters().map(|spec| Tensor::zeros([spec.num_elements()], &self.device))
    }

    /// Sum of the cross-entropies of all targets, in nats.
    pub fn loss(&self, weights: &Weights, batch: &TokenBatch) -> f64 {
        let context = self.context(batch.shape);
        let hidden = self.hidden(weights, &batch.inputs, batch.shape);
        let loss = self.kernels.loss(context, head(weights), &hidden, &batch.targets);
        self.kernels.recycle(hidden);
        loss.sum()
    }

    /// Logits of every position of `sequences` equally long windows: `[tokens, vocab]`.
    ///
    /// # Errors
    /// [`BatchError`] as for [`TokenBatch::new`].
    pub fn logits(
        &self,
        weights: &Weights,
        tokens: &[u32],
        sequences: usize,
    ) -> Result<Tensor<2>, BatchError> {
        if sequences == 0 || tokens.is_empty() || !tokens.len().is_multiple_of(sequences) {
            return Err(BatchError::Ragged { tokens: tokens.len(), sequences });
        }
        let shape = BatchShape { sequences, length: tokens.len() / sequences };
        check_tokens(tokens, shape.length, &self.config)?;
        let hidden = self.hidden(weights, tokens, shape);
        Ok(self.kernels.logits(self.context(shape), head(weights), &hidden))
    }

    /// [`Decoder::loss`], adding the gradient of `scale` times it to `gradients`.
    ///
    /// With `scale` = 1 / (targets of all micro-batches of a step), the gradients add up to that of the mean loss.
    pub fn loss_backward(
        &self,
        weights: &Weights,
        batch: &TokenBatch,
        scale: f64,
        gradients: &mut Weights,
    ) -> f64 {
        let mut saved = Vec::with_capacity(weights.blocks.len());
        let mut hidden =
            self.kernels.embed(&weights.embedding, &batch.inputs, self.config.hidden_size);
        for block in &weights.blocks {
            let (output, kept) = self.block(batch.shape, block, hidden, Keep::All);
            saved.push(kept);
            hidden = output;
        }
        let targets = Targets { tokens: &batch.targets, scale: scale as f32 };
        let into = HeadGradients {
            norm: &mut gradients.norm,
            projection: gradients.head.as_mut().unwrap_or(&mut gradients.embedding),
        };
        let context = self.context(batch.shape);
        let (losses, mut gradient) =
            self.kernels.loss_backward(context, head(weights), hidden, targets, into);
        for ((block, into), saved) in
            weights.blocks.iter().zip(&mut gradients.blocks).zip(saved).rev()
        {
            gradient = self.block_backward(batch.shape, block, saved, gradient, into);
        }
        self.kernels.embed_backward(&batch.inputs, gradient, &mut gradients.embedding);
        losses.sum()
    }

    /// The residual stream after the last block; keeps nothing for a backward pass.
    fn hidden(&self, weights: &Weights, tokens: &[u32], shape: BatchShape) -> Tensor<2> {
        let mut hidden = self.kernels.embed(&weights.embedding, tokens, self.config.hidden_size);
        for block in &weights.blocks {
            let (output, kept) = self.block(shape, block, hidden, Keep::Narrow);
            kept.recycle(self.kernels());
            hidden = output;
        }
        hidden
    }
}

/// Final norm and output projection; a tied network projects with its embedding.
pub(crate) fn head(weights: &Weights) -> Head<&Tensor<1>> {
    Head { norm: &weights.norm, projection: weights.head.as_ref().unwrap_or(&weights.embedding) }
}
