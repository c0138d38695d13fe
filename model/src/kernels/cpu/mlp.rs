//! Feed-forward half of a block on slices: SwiGLU (arXiv 2002.05202).

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::cpu_kernels::{CpuKernels, project, project_backward, rows_per_task};
use super::matrix::{Matrix, Write};
use super::tensors::{Elements, into_elements};
use super::vector;
use crate::config::MlpParameters;
use crate::kernels::kernels::{Backward, BlockContext, MlpWeights, SavedMlp};

/// The weights as slices, with their sizes.
struct MlpSlices {
    weights: MlpParameters<Elements>,
    epsilon: f32,
    hidden: usize,
    inner: usize,
}

impl MlpSlices {
    fn of(context: BlockContext<'_>, weights: &MlpWeights) -> Self {
        Self {
            weights: weights.map(Elements::of),
            epsilon: context.config.norm_epsilon as f32,
            hidden: context.config.hidden_size,
            inner: context.config.intermediate_size,
        }
    }

    /// Norm and two projections of a block of rows.
    fn project_inputs(&self, kernels: &CpuKernels, input: &[f32], [gate, up]: [&mut [f32]; 2]) {
        let MlpParameters { norm, gate: gate_weight, up: up_weight, .. } = &self.weights;
        // Not kept: the backward pass normalizes again, which costs little next to the products.
        let mut normed = kernels.pool.scratch(input.len());
        vector::rms_norm(input, norm.slice(), self.epsilon, &mut normed);
        project(gate, &normed, gate_weight.slice(), self.hidden, Write::Replace);
        project(up, &normed, up_weight.slice(), self.hidden, Write::Replace);
    }

    /// Backward pass of a block of rows, in place.
    ///
    /// `gate` and `up` become their gradients. `activated` becomes the input of the down
    /// projection, and `normed` that of the other two. Returns the gradient of the norm, summed
    /// over the rows.
    fn backward_of_rows(
        &self,
        kernels: &CpuKernels,
        [gate, up, activated]: [&mut [f32]; 3],
        [input, gradient]: [&[f32]; 2],
        [normed, input_gradient]: [&mut [f32]; 2],
    ) -> Vec<f32> {
        let (weights, hidden) = (&self.weights, self.hidden);
        let norm = weights.norm.slice();
        project_backward(activated, gradient, weights.down.slice(), self.inner, Write::Replace);
        vector::swiglu_backward(gate, up, activated);
        vector::rms_norm(input, norm, self.epsilon, normed);
        let mut dx = kernels.pool.scratch(input.len());
        project_backward(&mut dx, gate, weights.gate.slice(), hidden, Write::Replace);
        project_backward(&mut dx, up, weights.up.slice(), hidden, Write::Add);
        // The residual path; the backward pass of the norm adds to it.
        input_gradient.copy_from_slice(gradient);
        let mut partial = vec![0.0; hidden];
        vector::rms_norm_backward(input, norm, self.epsilon, &dx, input_gradient, &mut partial);
        partial
    }
}

/// Forward pass: `input + down(silu(gate) * up)`, and the activations for the backward pass.
pub(super) fn forward(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &MlpWeights,
    input: &Tensor<2>,
) -> (Tensor<2>, SavedMlp) {
    let slices = MlpSlices::of(context, weights);
    let (hidden, inner) = (slices.hidden, slices.inner);
    let rows = context.batch.rows();
    let input = Elements::of(input);
    let pool = &kernels.pool;
    let (mut gate, mut up, mut output) =
        (pool.take(rows * inner), pool.take(rows * inner), pool.take(rows * hidden));
    let block = rows_per_task(rows);
    let outputs = gate
        .par_chunks_mut(block * inner)
        .zip(up.par_chunks_mut(block * inner))
        .zip(output.par_chunks_mut(block * hidden));
    input.slice().par_chunks(block * hidden).zip(outputs).for_each(
        |(input, ((gate, up), output))| {
            slices.project_inputs(kernels, input, [gate, up]);
            let mut activated = pool.scratch(gate.len());
            vector::swiglu(gate, up, &mut activated);
            output.copy_from_slice(input);
            project(output, &activated, slices.weights.down.slice(), inner, Write::Add);
        },
    );
    (kernels.matrix(output, hidden), as_tensors(kernels, inner, gate, up))
}

/// Gate and up projections. Used to recompute them.
pub(super) fn inputs(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &MlpWeights,
    input: &Tensor<2>,
) -> SavedMlp {
    let slices = MlpSlices::of(context, weights);
    let (hidden, inner) = (slices.hidden, slices.inner);
    let rows = context.batch.rows();
    let (mut gate, mut up) = (kernels.pool.take(rows * inner), kernels.pool.take(rows * inner));
    // The same blocks as in `forward`, or `gemm` could sum in another order.
    let block = rows_per_task(rows);
    let outputs = gate.par_chunks_mut(block * inner).zip(up.par_chunks_mut(block * inner));
    Elements::of(input)
        .slice()
        .par_chunks(block * hidden)
        .zip(outputs)
        .for_each(|(input, (gate, up))| slices.project_inputs(kernels, input, [gate, up]));
    as_tensors(kernels, inner, gate, up)
}

fn as_tensors(kernels: &CpuKernels, inner: usize, gate: Vec<f32>, up: Vec<f32>) -> SavedMlp {
    SavedMlp { gate: kernels.matrix(gate, inner), up: kernels.matrix(up, inner) }
}

/// Backward pass: adds to `gradients`, and returns the gradient of the input.
pub(super) fn backward(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    start: Backward<'_, MlpWeights, SavedMlp>,
    gradients: &mut MlpWeights,
) -> Tensor<2> {
    let Backward { weights, input, saved, gradient } = start;
    let slices = MlpSlices::of(context, weights);
    let (hidden, inner) = (slices.hidden, slices.inner);
    let (mut gate, mut up) = (into_elements(saved.gate), into_elements(saved.up));
    let (input, gradient) = (into_elements(input), into_elements(gradient));
    let pool = &kernels.pool;
    let mut activated = pool.take(gate.len());
    let mut normed = pool.take(input.len());
    let mut input_gradient = pool.take(input.len());

    let block = rows_per_task(context.batch.rows());
    let inner_rows = gate
        .par_chunks_mut(block * inner)
        .zip(up.par_chunks_mut(block * inner))
        .zip(activated.par_chunks_mut(block * inner));
    let hidden_rows = input
        .par_chunks(block * hidden)
        .zip(gradient.par_chunks(block * hidden))
        .zip(normed.par_chunks_mut(block * hidden))
        .zip(input_gradient.par_chunks_mut(block * hidden));
    let partial_sums = inner_rows.zip(hidden_rows).map(
        |(((gate, up), activated), (((input, gradient), normed), input_gradient))| {
            let (inner, outer) = ([gate, up, activated], [normed, input_gradient]);
            slices.backward_of_rows(kernels, inner, [input, gradient], outer)
        },
    );
    kernels.add_norm_gradient(&mut gradients.norm, partial_sums.collect());

    let [dy, x] = [&gradient, &normed].map(|values| Matrix::new(values, hidden));
    let [d_gate, d_up, product] = [&gate, &up, &activated].map(|values| Matrix::new(values, inner));
    kernels.add_weight_gradient(&mut gradients.down, dy, product, inner);
    kernels.add_weight_gradient(&mut gradients.gate, d_gate, x, hidden);
    kernels.add_weight_gradient(&mut gradients.up, d_up, x, hidden);
    for buffer in [gate, up, activated, normed, input, gradient] {
        pool.give(buffer);
    }
    kernels.matrix(input_gradient, hidden)
}
