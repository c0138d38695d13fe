//! The whole network: loss, gradients and logits of token windows.

use burn::tensor::{Device, Tensor};

use crate::config::ModelConfig;
use crate::error::BatchError;
use crate::kernels::{
    Backward, BatchShape, BlockContext, ComposedKernels, Head, HeadGradients, Kernels, SavedAttention, SavedMlp,
    Targets, kernels_for,
};
use crate::parameters::Parameters;
use crate::rope::RopeTable;

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
        if sequences == 0 || tokens.len() < 2 * sequences || !tokens.len().is_multiple_of(sequences) {
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
}

pub(crate) fn check_tokens(tokens: &[u32], length: usize, config: &ModelConfig) -> Result<(), BatchError> {
    if length > config.max_positions {
        return Err(BatchError::TooLong { length, max_positions: config.max_positions });
    }
    match tokens.iter().find(|token| **token as usize >= config.vocab_size) {
        Some(token) => Err(BatchError::UnknownToken { token: *token, vocab_size: config.vocab_size }),
        None => Ok(()),
    }
}

/// What one block keeps for its backward pass.
struct SavedBlock {
    input: Tensor<2>,
    attention: SavedAttention,
    middle: Tensor<2>,
    mlp: SavedMlp,
}

impl Decoder {
    /// A network on `device`, with the fastest kernels there.
    pub fn new(config: ModelConfig, device: &Device) -> Self {
        Self::with_kernels(config, device, kernels_for(device))
    }

    /// The same network in plain tensor operations, to compare against.
    pub fn composed(config: ModelConfig, device: &Device) -> Self {
        Self::with_kernels(config, device, Box::new(ComposedKernels::new(device.clone())))
    }

    fn with_kernels(config: ModelConfig, device: &Device, kernels: Box<dyn Kernels>) -> Self {
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
        loss
    }

    /// Logits of every position of `sequences` equally long windows: `[tokens, vocab]`.
    ///
    /// # Errors
    /// [`BatchError`] as for [`TokenBatch::new`].
    pub fn logits(&self, weights: &Weights, tokens: &[u32], sequences: usize) -> Result<Tensor<2>, BatchError> {
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
    pub fn loss_backward(&self, weights: &Weights, batch: &TokenBatch, scale: f64, gradients: &mut Weights) -> f64 {
        let context = self.context(batch.shape);
        let mut saved = Vec::with_capacity(weights.blocks.len());
        let mut hidden = self.kernels.embed(&weights.embedding, &batch.inputs, self.config.hidden_size);
        for block in &weights.blocks {
            let (middle, attention) = self.kernels.attention(context, &block.attention, &hidden);
            let (output, mlp) = self.kernels.mlp(context, &block.mlp, &middle);
            saved.push(SavedBlock { input: hidden, attention, middle, mlp });
            hidden = output;
        }
        let targets = Targets { tokens: &batch.targets, scale: scale as f32 };
        let into = HeadGradients {
            norm: &mut gradients.norm,
            projection: gradients.head.as_mut().unwrap_or(&mut gradients.embedding),
        };
        let (loss, mut gradient) = self.kernels.loss_backward(context, head(weights), hidden, targets, into);
        for ((block, into), saved) in weights.blocks.iter().zip(&mut gradients.blocks).zip(saved).rev() {
            let SavedBlock { input, attention, middle, mlp } = saved;
            let start = Backward { weights: &block.mlp, input: middle, saved: mlp, gradient };
            gradient = self.kernels.mlp_backward(context, start, &mut into.mlp);
            let start = Backward { weights: &block.attention, input, saved: attention, gradient };
            gradient = self.kernels.attention_backward(context, start, &mut into.attention);
        }
        self.kernels.embed_backward(&batch.inputs, gradient, &mut gradients.embedding);
        loss
    }

    /// The residual stream after the last block; keeps nothing for a backward pass.
    fn hidden(&self, weights: &Weights, tokens: &[u32], shape: BatchShape) -> Tensor<2> {
        let context = self.context(shape);
        let mut hidden = self.kernels.embed(&weights.embedding, tokens, self.config.hidden_size);
        for block in &weights.blocks {
            let (middle, attention) = self.kernels.attention(context, &block.attention, &hidden);
            let SavedAttention { query, key, value, context: mixed, log_sum_exp } = attention;
            let (output, SavedMlp { gate, up }) = self.kernels.mlp(context, &block.mlp, &middle);
            for unneeded in [hidden, query, key, value, mixed, log_sum_exp, middle, gate, up] {
                self.kernels.recycle(unneeded);
            }
            hidden = output;
        }
        hidden
    }

    fn context(&self, batch: BatchShape) -> BlockContext<'_> {
        BlockContext { config: &self.config, rope: &self.rope, batch }
    }
}

/// Final norm and output projection; a tied network projects with its embedding.
pub(crate) fn head(weights: &Weights) -> Head<&Tensor<1>> {
    Head { norm: &weights.norm, projection: weights.head.as_ref().unwrap_or(&weights.embedding) }
}
