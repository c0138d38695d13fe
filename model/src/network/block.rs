//! Forward and backward pass of one decoder block on one device.

use burn::tensor::Tensor;

use super::decoder::Decoder;
use crate::config::BlockParameters;
use crate::kernels::{AttentionInputs, Backward, BatchShape, Kernels, SavedAttention, SavedMlp};

/// Weights of one block, or their gradients.
pub(crate) type BlockWeights = BlockParameters<Tensor<1>>;

/// The activations of a block that are kept for its backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All activations that the backward pass reads.
    All,
    /// Only those that are expensive to recompute, see [`crate::config::ActivationCheckpointing`].
    Narrow,
}

/// Activations of one block, kept for its backward pass.
pub(crate) struct SavedBlock {
    input: Tensor<2>,
    /// Residual between attention and feed-forward.
    middle: Tensor<2>,
    /// Output of attention before its projection, and log-sum-exp.
    attended: [Tensor<2>; 2],
    /// Projections; `None` if the backward pass recomputes them.
    wide: Option<(AttentionInputs, SavedMlp)>,
}

impl SavedBlock {
    /// Returns all buffers to the kernels.
    pub(crate) fn recycle(self, kernels: &dyn Kernels) {
        let Self { input, middle, attended, wide } = self;
        for activation in [input, middle].into_iter().chain(attended) {
            kernels.recycle(activation);
        }
        if let Some((inputs, mlp)) = wide {
            recycle_inputs(kernels, inputs);
            recycle_mlp(kernels, mlp);
        }
    }
}

fn recycle_inputs(kernels: &dyn Kernels, AttentionInputs { query, key, value }: AttentionInputs) {
    [query, key, value].into_iter().for_each(|activation| kernels.recycle(activation));
}

fn recycle_mlp(kernels: &dyn Kernels, SavedMlp { gate, up }: SavedMlp) {
    [gate, up].into_iter().for_each(|activation| kernels.recycle(activation));
}

impl Decoder {
    /// Forward pass of a block: the residual stream after it, and the activations to keep.
    pub(crate) fn block(
        &self,
        batch: BatchShape,
        weights: &BlockWeights,
        input: Tensor<2>,
        keep: Keep,
    ) -> (Tensor<2>, SavedBlock) {
        let (context, kernels) = (self.context(batch), self.kernels());
        let (middle, SavedAttention { inputs, context: mixed, log_sum_exp }) =
            kernels.attention(context, &weights.attention, &input);
        // Dropped before the feed-forward half runs, which can then reuse their memory.
        let inputs = match keep {
            Keep::All => Some(inputs),
            Keep::Narrow => {
                recycle_inputs(kernels, inputs);
                None
            }
        };
        let (output, mlp) = kernels.mlp(context, &weights.mlp, &middle);
        let wide = match inputs {
            Some(inputs) => Some((inputs, mlp)),
            None => {
                recycle_mlp(kernels, mlp);
                None
            }
        };
        (output, SavedBlock { input, middle, attended: [mixed, log_sum_exp], wide })
    }

    /// Backward pass of [`Decoder::block`]. Adds to `gradients`; returns the gradient of the
    /// block's input.
    pub(crate) fn block_backward(
        &self,
        batch: BatchShape,
        weights: &BlockWeights,
        saved: SavedBlock,
        gradient: Tensor<2>,
        gradients: &mut BlockWeights,
    ) -> Tensor<2> {
        let (context, kernels) = (self.context(batch), self.kernels());
        let SavedBlock { input, middle, attended: [mixed, log_sum_exp], wide } = saved;
        let (inputs, mlp) = wide.unzip();

        // Each half recomputes its projections just before it needs them, so only one half's are in
        // memory at a time. `cost::ActivationMemory` counts on this order.
        let mlp = mlp.unwrap_or_else(|| kernels.mlp_inputs(context, &weights.mlp, &middle));
        let start = Backward { weights: &weights.mlp, input: middle, saved: mlp, gradient };
        let gradient = kernels.mlp_backward(context, start, &mut gradients.mlp);

        let inputs =
            inputs.unwrap_or_else(|| kernels.attention_inputs(context, &weights.attention, &input));
        let saved = SavedAttention { inputs, context: mixed, log_sum_exp };
        let start = Backward { weights: &weights.attention, input, saved, gradient };
        kernels.attention_backward(context, start, &mut gradients.attention)
    }
}
