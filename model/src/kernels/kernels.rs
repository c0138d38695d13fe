//! The hot half-blocks of the decoder, forward and backward, behind one small trait.
//!
//! A training step is mostly seven calls: embed, attention and feed-forward
//! forward per block, the loss at the head, and the two halves backward. Each
//! is one call here, so that an implementation may fuse across norms,
//! projections and residuals, choose what to keep for the backward pass, and
//! reuse its buffers. [`BurnKernels`] writes the same mathematics with
//! Burn's tensor operations and runs on every device; [`CpuKernels`] works on
//! slices and is several times faster. Tests hold the one against the other.

use burn::tensor::{Device, Tensor};

use crate::config::{AttentionParameters, MlpParameters, ModelConfig, RopeTable};
use crate::kernels::Losses;
use crate::kernels::burn::BurnKernels;
use crate::kernels::cpu;
use crate::kernels::cpu::CpuKernels;

/// How the rows of an activation `[rows, width]` are made up: `sequences` windows of `length` tokens, one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShape {
    /// Number of windows.
    pub sequences: usize,
    /// Tokens per window; positions run from 0 in each.
    pub length: usize,
}

impl BatchShape {
    /// Rows of every activation: tokens of all windows.
    pub fn rows(&self) -> usize {
        self.sequences * self.length
    }
}

/// What every half-block needs besides its weights and its input.
#[derive(Clone, Copy, Debug)]
pub struct BlockContext<'a> {
    /// Widths, heads and epsilon.
    pub config: &'a ModelConfig,
    /// Angles of at least `batch.length` positions.
    pub rope: &'a RopeTable,
    /// How the rows are made up.
    pub batch: BatchShape,
}

/// What attention reads: the three projections of the normalised input.
#[derive(Debug)]
pub struct AttentionInputs {
    /// Queries after rotation, `[rows, heads * head_dim]`.
    pub query: Tensor<2>,
    /// Keys after rotation, `[rows, kv_heads * head_dim]`.
    pub key: Tensor<2>,
    /// Values, `[rows, kv_heads * head_dim]`.
    pub value: Tensor<2>,
}

/// What the attention half keeps for its backward pass.
#[derive(Debug)]
pub struct SavedAttention {
    /// Rotated queries and keys, and values.
    pub inputs: AttentionInputs,
    /// Heads' outputs before the output projection, `[rows, heads * head_dim]`.
    pub context: Tensor<2>,
    /// Log-sum-exp of the scaled scores, `[sequences * heads, length]`.
    pub log_sum_exp: Tensor<2>,
}

/// What the feed-forward half keeps for its backward pass.
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

/// What a half-block's backward pass starts from.
#[derive(Debug)]
pub struct Backward<'a, W, S> {
    /// The weights of the forward pass.
    pub weights: &'a W,
    /// Its input, `[rows, hidden]`.
    pub input: Tensor<2>,
    /// What it saved.
    pub saved: S,
    /// Gradient of its output, `[rows, hidden]`.
    pub gradient: Tensor<2>,
}

/// Final norm and output projection: weights, or their gradients.
#[derive(Clone, Copy, Debug)]
pub struct Head<T> {
    /// `[hidden]`.
    pub norm: T,
    /// `[vocab, hidden]`; the embedding itself when tied.
    pub projection: T,
}

/// Half-blocks of the decoder. Activations are `[rows, width]`, weights flat and row-major; both fp32, or both bf16 where
/// the kernels can. Gradients of weights are sums in fp32.
///
/// Backward calls take what forward saved, *add* into the gradients they are given, and return the gradient of the
/// half-block's input, the residual path included.
pub trait Kernels: std::fmt::Debug + Send + Sync {
    /// Rows of `table` `[vocab, width]` for `tokens`: `[tokens, width]`.
    fn embed(&self, table: &Tensor<1>, tokens: &[u32], width: usize) -> Tensor<2>;

    /// Adds each row of `gradient` to its token's row of `table_gradient`.
    fn embed_backward(&self, tokens: &[u32], gradient: Tensor<2>, table_gradient: &mut Tensor<1>);

    /// `input + output(attention(rope(query, key), value))` of the normalised input.
    fn attention(
        &self,
        context: BlockContext<'_>,
        weights: &AttentionWeights,
        input: &Tensor<2>,
    ) -> (Tensor<2>, SavedAttention);

    /// Queries, keys and values of [`Kernels::attention`] again, to the bit.
    fn attention_inputs(
        &self,
        context: BlockContext<'_>,
        weights: &AttentionWeights,
        input: &Tensor<2>,
    ) -> AttentionInputs;

    /// Backward of [`Kernels::attention`].
    fn attention_backward(
        &self,
        context: BlockContext<'_>,
        start: Backward<'_, AttentionWeights, SavedAttention>,
        gradients: &mut AttentionWeights,
    ) -> Tensor<2>;

    /// `input + down(silu(gate) * up)` of the normalised input.
    fn mlp(
        &self,
        context: BlockContext<'_>,
        weights: &MlpWeights,
        input: &Tensor<2>,
    ) -> (Tensor<2>, SavedMlp);

    /// Gate and up projections of [`Kernels::mlp`] again, to the bit.
    fn mlp_inputs(
        &self,
        context: BlockContext<'_>,
        weights: &MlpWeights,
        input: &Tensor<2>,
    ) -> SavedMlp;

    /// Backward of [`Kernels::mlp`].
    fn mlp_backward(
        &self,
        context: BlockContext<'_>,
        start: Backward<'_, MlpWeights, SavedMlp>,
        gradients: &mut MlpWeights,
    ) -> Tensor<2>;

    /// Logits `[rows, vocab]` of the normalised input.
    fn logits(
        &self,
        context: BlockContext<'_>,
        weights: Head<&Tensor<1>>,
        input: &Tensor<2>,
    ) -> Tensor<2>;

    /// Cross-entropy of every row against its target. Logits exist for a few rows at a time only.
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

    /// Takes back an activation that is needed no more, so that its memory can be used again.
    fn recycle(&self, activation: Tensor<2>) {
        drop(activation);
    }
}

/// Token ids to predict, one per row, and the weight of each row's loss in the gradient.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// The next token of every row.
    pub tokens: &'a [u32],
    /// Usually 1 / number of tokens of the optimizer step.
    pub scale: f32,
}

/// Where the head's gradients go. When tied, the projection's is that of the embedding.
#[derive(Debug)]
pub struct HeadGradients<'a> {
    /// `[hidden]`.
    pub norm: &'a mut Tensor<1>,
    /// `[vocab, hidden]`.
    pub projection: &'a mut Tensor<1>,
}

/// Logits that may exist at once on the CPU: 32 MiB, enough for efficient products, far less than all.
pub(crate) const MAX_LOGITS: usize = 8 << 20;

/// Logits that may exist at once on a device other than the CPU: there each turn reads and writes the whole gradient of the
/// output projection, so few large turns are better than many small ones.
pub(crate) const MAX_DEVICE_LOGITS: usize = 128 << 20;

/// Rows whose logits exist together while the loss is taken.
pub(crate) fn logit_rows_at_once(max_logits: usize, vocab_size: usize) -> usize {
    (max_logits / vocab_size / 64 * 64).max(64)
}

/// The fastest kernels there are for `device`.
pub fn kernels_for(device: &Device) -> Box<dyn Kernels> {
    if cpu::is_cpu(device) {
        Box::new(CpuKernels::new(device.clone()))
    } else {
        Box::new(BurnKernels::new(device.clone()))
    }
}
