//! Final norm, output projection and cross-entropy in tensor operations, with a bounded number of
//! logits in memory.
//!
//! No value is read back, as the host would wait for the device: losses stay there, and targets are
//! selected with `gather` and `scatter`. Burn's `one_hot` would first check its values on the host.

use burn::tensor::{IndexingUpdateOp, Int, Tensor};

use super::burn_kernels::BurnKernels;
use crate::kernels::kernels::{BlockContext, Head, HeadGradients, Targets};
use crate::kernels::losses::Losses;
use crate::kernels::operations::{
    add, add_weight_gradient, fp32, linear, linear_backward, rms_norm, rms_norm_backward,
};

/// Logits of all rows.
pub(super) fn logits(
    context: BlockContext<'_>,
    weights: Head<&Tensor<1>>,
    input: Tensor<2>,
) -> Tensor<2> {
    linear(rms_norm(input, weights.norm, context.config.norm_epsilon), weights.projection)
}

/// Losses of all rows, part by part.
pub(super) fn loss(
    kernels: &BurnKernels,
    context: BlockContext<'_>,
    weights: Head<&Tensor<1>>,
    input: &Tensor<2>,
    targets: &[u32],
) -> Losses {
    let parts = kernels.logit_parts(context).map(|(first, count)| {
        let logits = logits(context, weights, input.clone().narrow(0, first, count));
        Softmax::new(logits, kernels.tokens(&targets[first..first + count])).losses
    });
    Losses::Pending(parts.collect())
}

/// Losses and input gradient of all rows, part by part: the logits of a part are freed before the
/// next part starts. Adds to `gradients`.
pub(super) fn loss_backward(
    kernels: &BurnKernels,
    context: BlockContext<'_>,
    weights: Head<&Tensor<1>>,
    input: Tensor<2>,
    targets: Targets<'_>,
    gradients: HeadGradients<'_>,
) -> (Losses, Tensor<2>) {
    let config = context.config;
    let dtype = input.dtype();
    let parts = kernels.logit_parts(context).map(|(first, count)| {
        let input = input.clone().narrow(0, first, count);
        let normed = rms_norm(input.clone(), weights.norm, config.norm_epsilon);
        let logits = linear(normed.clone(), weights.projection);
        let softmax = Softmax::new(logits, kernels.tokens(&targets.tokens[first..first + count]));
        let losses = softmax.losses.clone();
        let logits_gradient = softmax.gradient(targets.scale).cast(dtype);
        add_weight_gradient(gradients.projection, logits_gradient.clone(), normed);
        let normed_gradient =
            linear_backward(logits_gradient, weights.projection, config.hidden_size);
        let (input_gradient, norm_gradient) =
            rms_norm_backward(input, weights.norm, config.norm_epsilon, normed_gradient);
        add(gradients.norm, norm_gradient);
        (losses, input_gradient)
    });
    let (losses, input_gradients): (Vec<_>, Vec<_>) = parts.unzip();
    (Losses::Pending(losses), Tensor::cat(input_gradients, 0))
}

/// Softmax of rows of logits, and the losses of their targets, in fp32.
struct Softmax {
    exponentials_rv: Tensor<2>,
    sums_r1: Tensor<2>,
    targets_r1: Tensor<2, Int>,
    /// Cross-entropy of each row, `[rows]`.
    losses: Tensor<1>,
}

impl Softmax {
    fn new(logits_rv: Tensor<2>, targets_r: Tensor<1, Int>) -> Self {
        let logits_rv = fp32(logits_rv);
        // Subtracted from all logits, or `exp` would overflow at logits above 88.
        let max_r1 = logits_rv.clone().max_dim(1);
        let targets_r1: Tensor<2, Int> = targets_r.unsqueeze_dim(1);
        let at_target_r1 = logits_rv.clone().gather(1, targets_r1.clone());
        let exponentials_rv = (logits_rv - max_r1.clone()).exp();
        let sums_r1 = exponentials_rv.clone().sum_dim(1);
        let losses = (sums_r1.clone().log() + max_r1 - at_target_r1).squeeze_dim(1);
        Self { exponentials_rv, sums_r1, targets_r1, losses }
    }

    /// `scale` times the gradient of the sum of the losses: `scale * (softmax - one_hot)`.
    fn gradient(self, scale: f32) -> Tensor<2> {
        let at_target_r1 = self.sums_r1.full_like(-scale);
        let softmax_rv = self.exponentials_rv * (self.sums_r1.recip() * scale);
        softmax_rv.scatter(1, self.targets_r1, at_target_r1, IndexingUpdateOp::Add)
    }
}
