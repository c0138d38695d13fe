//! The feed-forward half of a block on slices.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::cpu_kernels::{CpuKernels, project, project_backward, rows_per_task};
use super::matrix::{Matrix, Write};
use super::tensors::{Elements, into_elements};
use super::vector;
use crate::config::MlpParameters;
use crate::kernels::kernels::{Backward, BlockContext, MlpWeights, SavedMlp};

pub(super) fn forward(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &MlpWeights,
    input: &Tensor<2>,
) -> (Tensor<2>, SavedMlp) {
    let (hidden, inner) = (context.config.hidden_size, context.config.intermediate_size);
    let rows = context.batch.rows();
    let weights = weights.map(Elements::of);
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
            project_inputs(kernels, context, &weights, input, [gate, up]);
            let mut activated = pool.scratch(gate.len());
            vector::swiglu(gate, up, &mut activated);
            output.copy_from_slice(input);
            project(output, &activated, weights.down.slice(), inner, Write::Add);
        },
    );
    (kernels.matrix(output, hidden), as_tensors(kernels, inner, gate, up))
}

/// Gate and up projections alone.
pub(super) fn inputs(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &MlpWeights,
    input: &Tensor<2>,
) -> SavedMlp {
    let (hidden, inner) = (context.config.hidden_size, context.config.intermediate_size);
    let rows = context.batch.rows();
    let weights = weights.map(Elements::of);
    let (mut gate, mut up) = (kernels.pool.take(rows * inner), kernels.pool.take(rows * inner));
    let block = rows_per_task(rows);
    let outputs = gate.par_chunks_mut(block * inner).zip(up.par_chunks_mut(block * inner));
    Elements::of(input).slice().par_chunks(block * hidden).zip(outputs).for_each(
        |(input, (gate, up))| project_inputs(kernels, context, &weights, input, [gate, up]),
    );
    as_tensors(kernels, inner, gate, up)
}

fn as_tensors(kernels: &CpuKernels, inner: usize, gate: Vec<f32>, up: Vec<f32>) -> SavedMlp {
    SavedMlp { gate: kernels.matrix(gate, inner), up: kernels.matrix(up, inner) }
}

/// Norm and two projections of one block of rows.
fn project_inputs(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &MlpParameters<Elements>,
    input: &[f32],
    [gate, up]: [&mut [f32]; 2],
) {
    let hidden = context.config.hidden_size;
    let mut normed = kernels.pool.scratch(input.len());
    vector::rms_norm(input, weights.norm.slice(), context.config.norm_epsilon as f32, &mut normed);
    project(gate, &normed, weights.gate.slice(), hidden, Write::Replace);
    project(up, &normed, weights.up.slice(), hidden, Write::Replace);
}

pub(super) fn backward(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    start: Backward<'_, MlpWeights, SavedMlp>,
    gradients: &mut MlpWeights,
) -> Tensor<2> {
    let Backward { weights, input, saved, gradient } = start;
    let (hidden, inner) = (context.config.hidden_size, context.config.intermediate_size);
    let (mut gate, mut up) = (into_elements(saved.gate), into_elements(saved.up));
    let (input, gradient) = (into_elements(input), into_elements(gradient));
    let pool = &kernels.pool;
    let mut activated = pool.take(gate.len());
    let mut normed = pool.take(input.len());
    let mut input_gradient = pool.take(input.len());

    let weights = weights.map(Elements::of);
    let norm = weights.norm.slice();
    let epsilon = context.config.norm_epsilon as f32;
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
            project_backward(activated, gradient, weights.down.slice(), inner, Write::Replace);
            vector::swiglu_backward(gate, up, activated);
            vector::rms_norm(input, norm, epsilon, normed);
            let mut normed_gradient = pool.scratch(input.len());
            project_backward(
                &mut normed_gradient,
                gate,
                weights.gate.slice(),
                hidden,
                Write::Replace,
            );
            project_backward(&mut normed_gradient, up, weights.up.slice(), hidden, Write::Add);
            input_gradient.copy_from_slice(gradient);
            let mut partial = vec![0.0; hidden];
            vector::rms_norm_backward(
                input,
                norm,
                epsilon,
                &normed_gradient,
                input_gradient,
                &mut partial,
            );
            partial
        },
    );
    kernels.add_norm_gradient(&mut gradients.norm, partial_sums.collect());

    let as_inner = |values| Matrix::new(values, inner);
    let as_hidden = |values| Matrix::new(values, hidden);
    kernels.add_weight_gradient(
        &mut gradients.down,
        as_hidden(&gradient),
        as_inner(&activated),
        inner,
    );
    kernels.add_weight_gradient(&mut gradients.gate, as_inner(&gate), as_hidden(&normed), hidden);
    kernels.add_weight_gradient(&mut gradients.up, as_inner(&up), as_hidden(&normed), hidden);
    for buffer in [gate, up, activated, normed, input, gradient] {
        pool.give(buffer);
    }
    kernels.matrix(input_gradient, hidden)
}
