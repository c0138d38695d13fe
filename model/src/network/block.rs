//! One decoder block on one device: the step that every pass over the network repeats.

use burn::tensor::Tensor;

use super::decoder::Decoder;
use crate::config::BlockParameters;
use crate::kernels::{AttentionInputs, Backward, BatchShape, Kernels, SavedAttention, SavedMlp};

/// Weights of one block, or their gradients.
pub(crate) type BlockWeights = BlockParameters<Tensor<1>>;

/// How much of a block's work is kept for its backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All that the backward pass reads.
    All,
    /// What is not cheap to compute again: see [`crate::config::Recompute`].
    Narrow,
}

/// What one block keeps for its backward pass.
pub(crate) struct SavedBlock {
    input: Tensor<2>,
    middle: Tensor<2>,
    /// Attention's output and log-sum-exp.
    attended: [Tensor<2>; 2],
    /// Absent if it is computed again.
    wide: Option<(AttentionInputs, SavedMlp)>,
}

impl SavedBlock {
    /// Hands every buffer back.
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
    /// The residual stream after a block, and what the backward pass will need.
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

    /// Backward of [`Decoder::block`]: adds to `gradients`, returns the gradient of the block's input.
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
