//! The network on one device: loss, gradients and logits of token windows.

use burn::tensor::{Device, Tensor};

use super::block::Keep;
use crate::config::{ModelConfig, Parameters, Precision, RopeTable};
use crate::error::BatchError;
use crate::kernels::burn::BurnKernels;
use crate::kernels::{
    BatchShape, BlockContext, Head, HeadGradients, Kernels, Targets, kernels_for,
};

/// One flat tensor per parameter: weights, or their gradients.
pub type Weights = Parameters<Tensor<1>>;

/// A Llama-family decoder of one shape on one device (RMSNorm, rotary positions, grouped-query
/// attention, SwiGLU).
///
/// Weights are arguments. The caller decides if they are sharded, gathered or averaged.
#[derive(Debug)]
pub struct Decoder {
    config: ModelConfig,
    rope: RopeTable,
    device: Device,
    kernels: Box<dyn Kernels>,
}

/// Windows of tokens to train on or to evaluate.
///
/// A window has one token more than the network sees: the inputs are all tokens but the last, the
/// targets all but the first.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    inputs: Vec<u32>,
    targets: Vec<u32>,
    shape: BatchShape,
}

impl TokenBatch {
    /// Divides `tokens`, `[sequences, length + 1]` in row-major order, into inputs and targets.
    ///
    /// # Errors
    /// [`BatchError`] if the tokens do not divide into windows of at least two, if a window exceeds
    /// the positions of `config`, or if an id is outside its vocabulary.
    pub fn new(tokens: &[u32], sequences: usize, config: &ModelConfig) -> Result<Self, BatchError> {
        if sequences == 0 || tokens.len() < 2 * sequences || !tokens.len().is_multiple_of(sequences)
        {
            return Err(BatchError::Ragged { tokens: tokens.len(), sequences });
        }
        let window = tokens.len() / sequences;
        let shape = BatchShape { sequences, length: window - 1 };
        check_tokens(tokens, shape.length, config)?;
        // `chunks_exact` drops no rest: the length is a multiple, as checked above.
        let rows = tokens.chunks_exact(window);
        Ok(Self {
            inputs: rows.clone().flat_map(|row| &row[..window - 1]).copied().collect(),
            targets: rows.flat_map(|row| &row[1..]).copied().collect(),
            shape,
        })
    }

    /// Number of tokens to predict.
    pub fn num_targets(&self) -> usize {
        self.targets.len()
    }

    /// The tokens to predict, in the order of the windows.
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

/// Checks the length of a window, and all ids.
///
/// Kernels rely on this check: they index the embedding and the rotary table directly, and a GPU
/// does not report an index out of range.
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
    /// A network on `device` with the fastest kernels available there.
    pub fn new(config: ModelConfig, device: &Device) -> Self {
        Self::with_kernels(config, device, kernels_for(device))
    }

    /// A network on `device` with the fastest kernels that compute in `precision`.
    ///
    /// Weights must have the dtype of [`Precision::dtype`]; gradients are fp32 sums in both cases.
    pub fn with_precision(config: ModelConfig, device: &Device, precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => Self::new(config, device),
            // The CPU kernels read fp32 slices only.
            Precision::Bf16 => Self::composed(config, device),
        }
    }

    /// A network in plain tensor operations. They compute in the dtype of the weights.
    pub fn composed(config: ModelConfig, device: &Device) -> Self {
        Self::with_kernels(config, device, Box::new(BurnKernels::new(device.clone())))
    }

    /// A network with the given kernels, which must have been created for `device`.
    pub fn with_kernels(config: ModelConfig, device: &Device, kernels: Box<dyn Kernels>) -> Self {
        Self { rope: RopeTable::new(&config), config, device: device.clone(), kernels }
    }

    /// The shape of the network.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The device of weights and activations.
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

    /// Zeros in the shape of all parameters: gradients before the first backward pass.
    pub fn zeros(&self) -> Weights {
        self.config.parameters().map(|spec| Tensor::zeros([spec.num_elements()], &self.device))
    }

    /// Sum of the cross-entropies of all targets, in nats. Forward only.
    pub fn loss(&self, weights: &Weights, batch: &TokenBatch) -> f64 {
        let context = self.context(batch.shape);
        let hidden = self.hidden(weights, &batch.inputs, batch.shape);
        let loss = self.kernels.loss(context, head(weights), &hidden, &batch.targets);
        self.kernels.recycle(hidden);
        loss.sum()
    }

    /// Logits at all positions of `sequences` windows of equal length: `[tokens, vocab]`.
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

    /// Returns [`Decoder::loss`], and adds the gradient of `scale` times this loss to `gradients`.
    ///
    /// With `scale` = 1 / (targets of all micro-batches of a step), the gradients of the
    /// micro-batches add up to that of the mean loss.
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
        // A tied projection adds to the gradient of the embedding, as both are one parameter.
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
        // Last, because it waits for the device: all kernels are queued before.
        losses.sum()
    }

    /// The residual stream after the last block. All activations are recycled.
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

/// Final norm and output projection. A tied network projects with its embedding.
pub(crate) fn head(weights: &Weights) -> Head<&Tensor<1>> {
    Head { norm: &weights.norm, projection: weights.head.as_ref().unwrap_or(&weights.embedding) }
}
