//! Backward pass of the attention half.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::forward::{TILE, WeightSlices, Widths, rotary, window, windows_mut};
use crate::kernels::cpu::cpu_kernels::{CpuKernels, project_backward, rows_per_task};
use crate::kernels::cpu::matrix::{Matrix, MatrixMut, Write, multiply};
use crate::kernels::cpu::pool::Scratch;
use crate::kernels::cpu::tensors::{Elements, into_elements};
use crate::kernels::cpu::vector;
use crate::kernels::kernels::{
    AttentionInputs, AttentionWeights, Backward, BlockContext, SavedAttention,
};

/// Backward pass of [`super::forward::forward`]: adds to `gradients`, and returns the gradient of
/// the input.
pub(crate) fn backward(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    start: Backward<'_, AttentionWeights, SavedAttention>,
    gradients: &mut AttentionWeights,
) -> Tensor<2> {
    let Backward { weights, input, saved, gradient } = start;
    let widths = Widths::of(context);
    let pool = &kernels.pool;
    let saved = SavedElements::of(saved);
    let mut gradient = into_elements(gradient);

    // In the reverse order of the forward pass: output projection, attention, then rotation,
    // projections and norm. Buffers return to the pool as soon as they are not needed.
    let mixed_gradient = backward_of_output(kernels, widths, weights, &gradient);
    let (dy, mixed) =
        (Matrix::new(&gradient, widths.hidden), Matrix::new(&saved.context, widths.query));
    kernels.add_weight_gradient(&mut gradients.output, dy, mixed, widths.query);

    let mut inputs =
        [pool.take(saved.query.len()), pool.take(saved.key.len()), pool.take(saved.value.len())];
    backward_of_attend(kernels, widths, &saved, &mixed_gradient, &mut inputs);
    saved.recycle(kernels);
    pool.give(mixed_gradient);

    let input = into_elements(input);
    let normed = backward_of_inputs(
        kernels,
        context,
        weights,
        &input,
        &mut inputs,
        &mut gradient,
        &mut gradients.norm,
    );
    add_projection_gradients(kernels, widths, inputs, &normed, gradients);
    pool.give(normed);
    pool.give(input);
    kernels.matrix(gradient, widths.hidden)
}

/// Adds to the gradients of the query, key and value projections.
fn add_projection_gradients(
    kernels: &CpuKernels,
    widths: Widths,
    output_gradients: [Vec<f32>; 3],
    normed: &[f32],
    gradients: &mut AttentionWeights,
) {
    let into = [&mut gradients.query, &mut gradients.key, &mut gradients.value];
    for ((gradient, weight), width) in
        output_gradients.into_iter().zip(into).zip([widths.query, widths.kv, widths.kv])
    {
        let (dy, x) = (Matrix::new(&gradient, width), Matrix::new(normed, widths.hidden));
        kernels.add_weight_gradient(weight, dy, x, widths.hidden);
        kernels.pool.give(gradient);
    }
}

/// The saved activations as buffers.
struct SavedElements {
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    context: Vec<f32>,
    log_sum_exp: Vec<f32>,
}

impl SavedElements {
    fn of(saved: SavedAttention) -> Self {
        let SavedAttention { inputs: AttentionInputs { query, key, value }, context, log_sum_exp } =
            saved;
        Self {
            query: into_elements(query),
            key: into_elements(key),
            value: into_elements(value),
            context: into_elements(context),
            log_sum_exp: into_elements(log_sum_exp),
        }
    }

    fn recycle(self, kernels: &CpuKernels) {
        for buffer in [self.query, self.key, self.value, self.context, self.log_sum_exp] {
            kernels.pool.give(buffer);
        }
    }
}

/// Gradient of the outputs of the heads: `gradient * output`.
fn backward_of_output(
    kernels: &CpuKernels,
    widths: Widths,
    weights: &AttentionWeights,
    gradient: &[f32],
) -> Vec<f32> {
    let weight = Elements::of(&weights.output);
    let rows = gradient.len() / widths.hidden;
    let block = rows_per_task(rows);
    let mut mixed = kernels.pool.take(rows * widths.query);
    mixed
        .par_chunks_mut(block * widths.query)
        .zip(gradient.par_chunks(block * widths.hidden))
        .for_each(|(mixed, gradient)| {
            project_backward(mixed, gradient, weight.slice(), widths.query, Write::Replace)
        });
    mixed
}

/// Gradients of rotated queries, rotated keys, and values.
fn backward_of_attend(
    kernels: &CpuKernels,
    widths: Widths,
    saved: &SavedElements,
    mixed_gradient: &[f32],
    [query, key, value]: &mut [Vec<f32>; 3],
) {
    let group_width = widths.group * widths.head;
    windows_mut(query, widths.query, group_width, widths)
        .into_par_iter()
        .zip(windows_mut(key, widths.kv, widths.head, widths))
        .zip(windows_mut(value, widths.kv, widths.head, widths))
        .enumerate()
        // A task has all query heads of its key head, so no other task adds to the same key
        // gradient.
        .for_each(|(task, ((query, mut key), mut value))| {
            key.fill(0.0);
            value.fill(0.0);
            let scratch = &mut BackwardTile::new(kernels, widths);
            for (head, query) in query.into_column_parts(widths.head).into_iter().enumerate() {
                let inputs = HeadInputs::of(widths, saved, mixed_gradient, task, head);
                backward_of_head(
                    widths,
                    inputs,
                    [query, key.reborrow(), value.reborrow()],
                    scratch,
                );
            }
        });
}

/// Scratch buffers of one task.
struct BackwardTile<'a> {
    probabilities: Scratch<'a>,
    gradient: Scratch<'a>,
    dot: Scratch<'a>,
}

impl<'a> BackwardTile<'a> {
    fn new(kernels: &'a CpuKernels, widths: Widths) -> Self {
        let scores = TILE * widths.length;
        Self {
            probabilities: kernels.pool.scratch(scores),
            gradient: kernels.pool.scratch(scores),
            dot: kernels.pool.scratch(TILE),
        }
    }
}

/// Inputs of the backward pass of one query head, `[length, head_dim]` each.
struct HeadInputs<'a> {
    query: Matrix<'a>,
    key: Matrix<'a>,
    value: Matrix<'a>,
    out: Matrix<'a>,
    out_gradient: Matrix<'a>,
    log_sum_exp: &'a [f32],
}

impl<'a> HeadInputs<'a> {
    fn of(
        widths: Widths,
        saved: &'a SavedElements,
        mixed_gradient: &'a [f32],
        task: usize,
        head: usize,
    ) -> Self {
        let columns = head * widths.head..(head + 1) * widths.head;
        let [query, out, out_gradient] = [&saved.query, &saved.context, mixed_gradient]
            .map(|values: &[f32]| {
                window(values, widths.query, widths.group * widths.head, widths, task)
            })
            .map(|group| group.columns(columns.clone()));
        let row = (task * widths.group + head) * widths.length;
        Self {
            query,
            key: window(&saved.key, widths.kv, widths.head, widths, task),
            value: window(&saved.value, widths.kv, widths.head, widths, task),
            out,
            out_gradient,
            log_sum_exp: &saved.log_sum_exp[row..row + widths.length],
        }
    }
}

/// Backward pass of one query head in one window. Writes the query gradient; adds to the key and
/// value gradients of the group.
fn backward_of_head(
    widths: Widths,
    inputs: HeadInputs<'_>,
    [query, mut key, mut value]: [MatrixMut<'_>; 3],
    tile: &mut BackwardTile<'_>,
) {
    let scale = widths.scale();
    for (index, query_gradient) in query.into_row_parts(TILE).into_iter().enumerate() {
        let first = index * TILE;
        let keys = (first + TILE).min(widths.length);
        let count = keys - first;
        let probabilities = &mut tile.probabilities[..count * keys];
        let gradient = &mut tile.gradient[..count * keys];
        let dot = &mut tile.dot[..count];

        let (q, k, v) =
            (inputs.query.rows(first..keys), inputs.key.rows(0..keys), inputs.value.rows(0..keys));
        let dy = inputs.out_gradient.rows(first..keys);
        let out = inputs.out.rows(first..keys);
        // rowsum(dO * O) equals rowsum(dP * P), and has head_dim terms instead of one per key
        // (FlashAttention, appendix B.2).
        for (row, dot) in dot.iter_mut().enumerate() {
            *dot = vector::dot(out.row(row), dy.row(row));
        }
        multiply(MatrixMut::new(probabilities, keys), q, k.transposed(), Write::Replace);
        vector::causal_probabilities(
            probabilities,
            keys,
            first,
            scale,
            &inputs.log_sum_exp[first..keys],
        );
        multiply(
            value.rows_mut(0..keys),
            Matrix::new(probabilities, keys).transposed(),
            dy,
            Write::Add,
        );

        multiply(MatrixMut::new(gradient, keys), dy, v.transposed(), Write::Replace);
        vector::softmax_backward(probabilities, gradient, keys, scale, dot);
        multiply(query_gradient, Matrix::new(gradient, keys), k, Write::Replace);
        multiply(key.rows_mut(0..keys), Matrix::new(gradient, keys).transposed(), q, Write::Add);
    }
}

/// Rotates the gradients of queries and keys back, adds the gradient of the input to `gradient`,
/// and returns the normalized input.
fn backward_of_inputs(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &AttentionWeights,
    input: &[f32],
    [query, key, value]: &mut [Vec<f32>; 3],
    gradient: &mut [f32],
    norm_gradient: &mut Tensor<1>,
) -> Vec<f32> {
    let widths = Widths::of(context);
    let epsilon = context.config.norm_epsilon as f32;
    let weights = WeightSlices::of(weights);
    let block = rows_per_task(context.batch.rows());
    let mut normed = kernels.pool.take(input.len());
    let inputs = query
        .par_chunks_mut(block * widths.query)
        .zip(key.par_chunks_mut(block * widths.kv))
        .zip(value.par_chunks(block * widths.kv));
    let hidden = input
        .par_chunks(block * widths.hidden)
        .zip(normed.par_chunks_mut(block * widths.hidden))
        .zip(gradient.par_chunks_mut(block * widths.hidden));
    let partial_sums = inputs.zip(hidden).enumerate().map(
        |(index, (((query, key), value), ((input, normed), gradient)))| {
            let angles = rotary(context, index * block);
            vector::rotate(query, widths.query, angles, -1.0);
            vector::rotate(key, widths.kv, angles, -1.0);
            vector::rms_norm(input, weights.norm.slice(), epsilon, normed);
            let mut normed_gradient = kernels.pool.scratch(input.len());
            let dy = [&*query, &*key, value];
            backward_of_projections(widths, &weights, dy, &mut normed_gradient);
            let mut partial = vec![0.0; widths.hidden];
            vector::rms_norm_backward(
                input,
                weights.norm.slice(),
                epsilon,
                &normed_gradient,
                gradient,
                &mut partial,
            );
            partial
        },
    );
    kernels.add_norm_gradient(norm_gradient, partial_sums.collect());
    normed
}

/// Gradient of the normalized input of the three projections.
fn backward_of_projections(
    widths: Widths,
    weights: &WeightSlices,
    [query, key, value]: [&[f32]; 3],
    normed_gradient: &mut [f32],
) {
    // The first product replaces the old content of the buffer.
    project_backward(normed_gradient, query, weights.query.slice(), widths.hidden, Write::Replace);
    project_backward(normed_gradient, key, weights.key.slice(), widths.hidden, Write::Add);
    project_backward(normed_gradient, value, weights.value.slice(), widths.hidden, Write::Add);
}
