//! Feed-forward half of a block in tensor operations: SwiGLU (arXiv 2002.05202).

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, silu};

use crate::kernels::kernels::{Backward, BlockContext, MlpWeights, SavedMlp};
use crate::kernels::operations::{
    add, add_weight_gradient, linear, linear_backward, rms_norm, rms_norm_backward,
};

/// Forward pass: `input + down(silu(gate) * up)`, and the activations for the backward pass.
pub(super) fn forward(
    context: BlockContext<'_>,
    weights: &MlpWeights,
    input: &Tensor<2>,
) -> (Tensor<2>, SavedMlp) {
    let SavedMlp { gate, up } = inputs(context, weights, input);
    let output = input.clone() + linear(silu(gate.clone()) * up.clone(), &weights.down);
    (output, SavedMlp { gate, up })
}

/// Gate and up projections. Also used to recompute them.
pub(super) fn inputs(
    context: BlockContext<'_>,
    weights: &MlpWeights,
    input: &Tensor<2>,
) -> SavedMlp {
    let normed = rms_norm(input.clone(), &weights.norm, context.config.norm_epsilon);
    SavedMlp { gate: linear(normed.clone(), &weights.gate), up: linear(normed, &weights.up) }
}

/// Backward pass: adds to `gradients`, and returns the gradient of the input.
pub(super) fn backward(
    context: BlockContext<'_>,
    start: Backward<'_, MlpWeights, SavedMlp>,
    gradients: &mut MlpWeights,
) -> Tensor<2> {
    let Backward { weights, input, saved, gradient } = start;
    let config = context.config;
    let SavedMlp { gate, up } = saved;
    let sigmoid = sigmoid(gate.clone());
    let activated = gate * sigmoid.clone();
    add_weight_gradient(&mut gradients.down, gradient.clone(), activated.clone() * up.clone());
    let product_gradient =
        linear_backward(gradient.clone(), &weights.down, config.intermediate_size);
    let up_gradient = product_gradient.clone() * activated.clone();
    // Derivative of silu: s + x s (1 - s), with the sigmoid s.
    let slope = sigmoid.clone() + activated * (sigmoid.neg() + 1.0);
    let gate_gradient = product_gradient * up * slope;

    // Recomputed, as in the attention half.
    let normed = rms_norm(input.clone(), &weights.norm, config.norm_epsilon);
    add_weight_gradient(&mut gradients.gate, gate_gradient.clone(), normed.clone());
    add_weight_gradient(&mut gradients.up, up_gradient.clone(), normed);
    let normed_gradient = linear_backward(gate_gradient, &weights.gate, config.hidden_size)
        + linear_backward(up_gradient, &weights.up, config.hidden_size);
    let (input_gradient, norm_gradient) =
        rms_norm_backward(input, &weights.norm, config.norm_epsilon, normed_gradient);
    add(&mut gradients.norm, norm_gradient);
    gradient + input_gradient
}
