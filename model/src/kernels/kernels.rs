//! The trait of the half-blocks, and the types of its arguments.
//!
//! A training step consists of a few calls: embedding; attention and feed-forward of each block;
//! the loss at the head; the two halves backward. Each is one method, which lets an implementation
//! fuse norms, projections and residuals, choose the activations to keep, and reuse its buffers.
//!
//! [`BurnKernels`] uses tensor operations and runs on every device. [`CpuKernels`] works on slices.

use burn::tensor::{Device, Tensor};

use crate::config::{AttentionParameters, MlpParameters, ModelConfig, RopeTable};
use crate::kernels::Losses;
use crate::kernels::burn::BurnKernels;
use crate::kernels::cpu;
use crate::kernels::cpu::CpuKernels;

/// Layout of the rows of an activation `[rows, width]`: `sequences` windows of `length` tokens
/// each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShape {
    /// Number of windows.
    pub sequences: usize,
    /// Tokens per window; the positions of each start at 0.
    pub length: usize,
}

impl BatchShape {
    /// Number of rows, which is the number of tokens in all windows.
    pub fn rows(&self) -> usize {
        self.sequences * self.length
    }
}

/// Arguments that are the same for all half-blocks of a pass.
#[derive(Clone, Copy, Debug)]
pub struct BlockContext<'a> {
    /// Widths, heads and epsilon.
    pub config: &'a ModelConfig,
    /// Angles of at least `batch.length` positions.
    pub rope: &'a RopeTable,
    /// Layout of the rows.
    pub batch: BatchShape,
}

/// Input of softmax attention: the three projections of the normalized input.
#[derive(Debug)]
pub struct AttentionInputs {
    /// Queries after rotation, `[rows, heads * head_dim]`.
    pub query: Tensor<2>,
    /// Keys after rotation, `[rows, kv_heads * head_dim]`.
    pub key: Tensor<2>,
    /// Values, `[rows, kv_heads * head_dim]`.
    pub value: Tensor<2>,
}

/// Activations of the attention half that its backward pass reads.
#[derive(Debug)]
pub struct SavedAttention {
    /// Rotated queries and keys, and values.
    pub inputs: AttentionInputs,
    /// Outputs of the heads before the output projection, `[rows, heads * head_dim]`.
    pub context: Tensor<2>,
    /// Log-sum-exp of the scaled scores, `[sequences * heads, length]`. The backward pass
    /// recomputes the probabilities from it.
    pub log_sum_exp: Tensor<2>,
}

/// Activations of the feed-forward half that its backward pass reads.
#[derive(Debug)]
pub struct SavedMlp {
    /// Gate projection before its SiLU, `[rows, intermediate]`.
    pub gate: Tensor<2>,
    /// Up projection, `[rows, intermediate]`.
    pub up: Tensor<2>,
}

/// Weights of the attention half, or their gradients.
pub type AttentionWeights = AttentionParameters<Tensor<1>>;

/// Weights of the feed-forward half, or their gradients.
pub type MlpWeights = MlpParameters<Tensor<1>>;

/// Input of the backward pass of a half-block: weights `W`, saved activations `S`.
#[derive(Debug)]
pub struct Backward<'a, W, S> {
    /// Weights of the forward pass.
    pub weights: &'a W,
    /// Input of the forward pass, `[rows, hidden]`.
    pub input: Tensor<2>,
    /// Activations that the forward pass saved.
    pub saved: S,
    /// Gradient of the output, `[rows, hidden]`.
    pub gradient: Tensor<2>,
}

/// Final norm and output projection: weights or gradients.
#[derive(Clone, Copy, Debug)]
pub struct Head<T> {
    /// `[hidden]`.
    pub norm: T,
    /// `[vocab, hidden]`; the embedding of a tied network.
    pub projection: T,
}

/// Half-blocks of the decoder, forward and backward.
///
/// - Activations are `[rows, width]`; weights are flat and row-major. Both have the same dtype:
///   fp32, or bf16 if the kernels support it.
/// - Backward methods consume the saved activations, and return the gradient of the half-block's
///   input, residual path included.
/// - They add to the gradients of weights, which are fp32 sums.
/// - On one device, equal inputs give equal bits, also for recomputed activations.
pub trait Kernels: std::fmt::Debug + Send + Sync {
    /// The rows of `table`, `[vocab, width]`, for `tokens`: `[tokens, width]`.
    fn embed(&self, table: &Tensor<1>, tokens: &[u32], width: usize) -> Tensor<2>;

    /// Adds each row of `gradient` to the row of its token in `table_gradient`.
    fn embed_backward(&self, tokens: &[u32], gradient: Tensor<2>, table_gradient: &mut Tensor<1>);

    /// `input + output(attention(rope(query, key), value))` of the normalized input.
    fn attention(
        &self,
        context: BlockContext<'_>,
        weights: &AttentionWeights,
        input: &Tensor<2>,
    ) -> (Tensor<2>, SavedAttention);

    /// Recomputes the queries, keys and values of [`Kernels::attention`], to the bit.
    fn attention_inputs(
        &self,
        context: BlockContext<'_>,
        weights: &AttentionWeights,
        input: &Tensor<2>,
    ) -> AttentionInputs;

    /// Backward pass of [`Kernels::attention`].
    fn attention_backward(
        &self,
        context: BlockContext<'_>,
        start: Backward<'_, AttentionWeights, SavedAttention>,
        gradients: &mut AttentionWeights,
    ) -> Tensor<2>;

    /// `input + down(silu(gate) * up)` of the normalized input.
    fn mlp(
        &self,
        context: BlockContext<'_>,
        weights: &MlpWeights,
        input: &Tensor<2>,
    ) -> (Tensor<2>, SavedMlp);

    /// Recomputes the gate and up projections of [`Kernels::mlp`], to the bit.
    fn mlp_inputs(
        &self,
        context: BlockContext<'_>,
        weights: &MlpWeights,
        input: &Tensor<2>,
    ) -> SavedMlp;

    /// Backward pass of [`Kernels::mlp`].
    fn mlp_backward(
        &self,
        context: BlockContext<'_>,
        start: Backward<'_, MlpWeights, SavedMlp>,
        gradients: &mut MlpWeights,
    ) -> Tensor<2>;

    /// Logits of the normalized input, `[rows, vocab]`.
    fn logits(
        &self,
        context: BlockContext<'_>,
        weights: Head<&Tensor<1>>,
        input: &Tensor<2>,
    ) -> Tensor<2>;

    /// Cross-entropy of each row with its target. Logits are in memory for a few rows at a time.
    fn loss(
        &self,
        context: BlockContext<'_>,
        weights: Head<&Tensor<1>>,
        input: &Tensor<2>,
        targets: &[u32],
    ) -> Losses;

    /// [`Kernels::loss`], and the gradient of `scale` times its sum with respect to the input.
    fn loss_backward(
        &self,
        context: BlockContext<'_>,
        weights: Head<&Tensor<1>>,
        input: Tensor<2>,
        targets: Targets<'_>,
        gradients: HeadGradients<'_>,
    ) -> (Losses, Tensor<2>);

    /// Returns an activation to the kernels, which may reuse its memory.
    fn recycle(&self, activation: Tensor<2>) {
        drop(activation);
    }
}

/// Token ids to predict, one per row, and the weight of their losses in the gradient.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// The next token of each row.
    pub tokens: &'a [u32],
    /// Usually 1 / (number of targets in the optimizer step).
    pub scale: f32,
}

/// Gradients of the head, to which the backward pass adds. For a tied network, the projection is
/// the embedding.
#[derive(Debug)]
pub struct HeadGradients<'a> {
    /// `[hidden]`.
    pub norm: &'a mut Tensor<1>,
    /// `[vocab, hidden]`.
    pub projection: &'a mut Tensor<1>,
}

/// Most logits in memory at a time on the CPU: 32 MiB. That is enough for efficient matrix
/// products, and far less than all logits of a batch.
pub(crate) const MAX_LOGITS: usize = 8 << 20;

/// Most logits in memory at a time on a GPU: 512 MiB in fp32. Each part of the rows reads and
/// writes the whole gradient of the output projection, so a few large parts are better than many
/// small ones.
pub(crate) const MAX_DEVICE_LOGITS: usize = 128 << 20;

/// Number of rows with logits in memory at a time, at least 64.
pub(crate) fn logit_rows_at_once(max_logits: usize, vocab_size: usize) -> usize {
    // A multiple of 64, as matrix products work on tiles of rows.
    (max_logits / vocab_size / 64 * 64).max(64)
}

/// The fastest kernels for `device`.
pub fn kernels_for(device: &Device) -> Box<dyn Kernels> {
    if cpu::is_cpu(device) {
        Box::new(CpuKernels::new(device.clone()))
    } else {
        Box::new(BurnKernels::new(device.clone()))
    }
}
