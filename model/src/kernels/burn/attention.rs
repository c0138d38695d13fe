//! Attention half of a block in tensor operations.

use burn::tensor::Tensor;

use super::attend::{merge_heads, split_heads};
use super::burn_kernels::BurnKernels;
use crate::kernels::kernels::{
    AttentionInputs, AttentionWeights, Backward, BlockContext, SavedAttention,
};
use crate::kernels::operations::{
    Angles, add, add_weight_gradient, linear, linear_backward, rms_norm, rms_norm_backward,
};

/// Forward pass: `input + output(attention)`, and the activations for the backward pass.
pub(super) fn forward(
    kernels: &BurnKernels,
    context: BlockContext<'_>,
    weights: &AttentionWeights,
    input: &Tensor<2>,
) -> (Tensor<2>, SavedAttention) {
    let inputs = inputs(kernels, context, weights, input);
    let (mixed, log_sum_exp) = kernels.attend.forward(context, &inputs);
    let output = input.clone() + linear(mixed.clone(), &weights.output);
    (output, SavedAttention { inputs, context: mixed, log_sum_exp })
}

/// Rotated queries, rotated keys, and values. Also used to recompute them.
pub(super) fn inputs(
    kernels: &BurnKernels,
    context: BlockContext<'_>,
    weights: &AttentionWeights,
    input: &Tensor<2>,
) -> AttentionInputs {
    let config = context.config;
    let normed = rms_norm(input.clone(), &weights.norm, config.norm_epsilon);
    let angles = angles(kernels, context);
    let [query, key] = [(&weights.query, config.num_heads), (&weights.key, config.num_kv_heads)]
        .map(|(weight, heads)| {
            let projected = linear(normed.clone(), weight);
            let dims = projected.dims();
            angles.rotate(split_heads(context, projected, heads)).reshape(dims)
        });
    AttentionInputs { query, key, value: linear(normed, &weights.value) }
}

// Copied to the device in each call, as the length may differ. For 2048 positions and heads of
// width 128, the table is 1 MB.
fn angles(kernels: &BurnKernels, context: BlockContext<'_>) -> Angles {
    Angles::new(context.rope, context.config.head_dim / 2, 0, context.batch.length, &kernels.device)
}

/// Backward pass: adds to `gradients`, and returns the gradient of the input.
pub(super) fn backward(
    kernels: &BurnKernels,
    context: BlockContext<'_>,
    start: Backward<'_, AttentionWeights, SavedAttention>,
    gradients: &mut AttentionWeights,
) -> Tensor<2> {
    let Backward { weights, input, saved, gradient } = start;
    let config = context.config;
    add_weight_gradient(&mut gradients.output, gradient.clone(), saved.context.clone());
    let mixed_gradient = linear_backward(gradient.clone(), &weights.output, config.query_width());
    let inputs = backward_of_attend(kernels, context, saved, mixed_gradient);

    // The normalized input is not saved: it takes as much memory as the input, and little time.
    let normed = rms_norm(input.clone(), &weights.norm, config.norm_epsilon);
    let into = [&mut gradients.query, &mut gradients.key, &mut gradients.value];
    let through = [&weights.query, &weights.key, &weights.value];
    let parts = inputs.into_iter().zip(into).zip(through).map(|((gradient, sum), weight)| {
        add_weight_gradient(sum, gradient.clone(), normed.clone());
        linear_backward(gradient, weight, config.hidden_size)
    });
    let normed_gradient =
        parts.reduce(|sum, part| sum + part).expect("there are three projections");
    let (input_gradient, norm_gradient) =
        rms_norm_backward(input, &weights.norm, config.norm_epsilon, normed_gradient);
    add(&mut gradients.norm, norm_gradient);
    // The first term is the residual path.
    gradient + input_gradient
}

/// Gradients of the projections of queries, keys and values, `[rows, width]` each.
fn backward_of_attend(
    kernels: &BurnKernels,
    context: BlockContext<'_>,
    saved: SavedAttention,
    mixed_gradient: Tensor<2>,
) -> [Tensor<2>; 3] {
    let [query_bhse, key_bkse, value_bkse] =
        kernels.attend.backward(context, saved, mixed_gradient);
    let angles = angles(kernels, context);
    let [query, key] = [query_bhse, key_bkse].map(|x_bhse| {
        let x_bshe = angles.rotate_back(x_bhse.swap_dims(1, 2));
        let [batch, length, heads, width] = x_bshe.dims();
        x_bshe.reshape([batch * length, heads * width])
    });
    [query, key, merge_heads(value_bkse)]
}
