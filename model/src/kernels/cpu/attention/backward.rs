//! Gradients of the attention half.

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

/// Backward of [`super::forward::forward`].
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
    let [query, key, value] = inputs;
    let into = [&mut gradients.query, &mut gradients.key, &mut gradients.value];
    for ((gradient, weight), width) in
        [query, key, value].into_iter().zip(into).zip([widths.query, widths.kv, widths.kv])
    {
        let (dy, x) = (Matrix::new(&gradient, width), Matrix::new(&normed, widths.hidden));
        kernels.add_weight_gradient(weight, dy, x, widths.hidden);
        pool.give(gradient);
    }
    pool.give(normed);
    pool.give(input);
    kernels.matrix(gradient, widths.hidden)
}

/// What forward saved, as buffers.
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

/// Gradient of the heads' outputs: `gradient * output`.
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

/// Buffers of one task.
struct BackwardTile<'a> {
    probabilities: Scratch<'a>,
    gradient: Scratch<'a>,
    dot: Scratch<'a>,
}

impl<'a> BackwardTile<'a> {
    fn new(kernels: &'a CpuKernels, widths: Widths) -> Self {
        let scores = || kernels.pool.scratch(TILE * widths.length);
        Self { probabilities: scores(), gradient: scores(), dot: kernels.pool.scratch(TILE) }
    }
}

/// Everything one query head's backward reads, `[length, head_dim]` each.
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
        let of_query = |values| {
            let group = window(values, widths.query, widths.group * widths.head, widths, task);
            group.columns(head * widths.head..(head + 1) * widths.head)
        };
        let row = (task * widths.group + head) * widths.length;
        Self {
            query: of_query(&saved.query),
            key: window(&saved.key, widths.kv, widths.head, widths, task),
            value: window(&saved.value, widths.kv, widths.head, widths, task),
            out: of_query(&saved.context),
            out_gradient: of_query(mixed_gradient),
            log_sum_exp: &saved.log_sum_exp[row..row + widths.length],
        }
    }
}

/// One query head of one window: writes its query gradient, adds to its group's key and value gradients.
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

/// Turns rotated gradients back, adds the input's gradient to `gradient`, and returns the normalised input.
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
            let norm = weights.norm.slice();
            vector::rms_norm(input, norm, epsilon, normed);
            let mut normed_gradient = kernels.pool.scratch(input.len());
            project_backward(
                &mut normed_gradient,
                query,
                weights.query.slice(),
                widths.hidden,
                Write::Replace,
            );
            project_backward(
                &mut normed_gradient,
                key,
                weights.key.slice(),
                widths.hidden,
                Write::Add,
            );
            project_backward(
                &mut normed_gradient,
                value,
                weights.value.slice(),
                widths.hidden,
                Write::Add,
            );
            let mut partial = vec![0.0; widths.hidden];
            vector::rms_norm_backward(
                input,
                norm,
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
