//! The attention half of a block on slices.
//!
//! Scores exist for one tile of queries at a time, against the keys those
//! queries may see; the backward pass computes them again from the saved
//! log-sum-exp, as FlashAttention does (arXiv 2205.14135, algorithm 4).

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::matrix::{Matrix, MatrixMut, Write, multiply};
use super::tensors::{Elements, into_elements};
use super::vector::{self, RotaryRows};
use super::{CpuKernels, project, project_backward, rows_per_task};
use crate::kernels::{BlockContext, SavedAttention};
use crate::parameters::AttentionParameters;

/// Queries whose scores exist at a time.
const TILE: usize = 64;

/// Widths of one call.
#[derive(Clone, Copy)]
struct Widths {
    hidden: usize,
    query: usize,
    kv: usize,
    head: usize,
    /// Query heads that share one key and value head.
    group: usize,
    length: usize,
}

impl Widths {
    fn of(context: BlockContext<'_>) -> Self {
        let config = context.config;
        Self {
            hidden: config.hidden_size,
            query: config.query_width(),
            kv: config.kv_width(),
            head: config.head_dim,
            group: config.num_heads / config.num_kv_heads,
            length: context.batch.length,
        }
    }

    /// Factor on the scores before the softmax.
    fn scale(&self) -> f32 {
        (self.head as f32).powf(-0.5)
    }
}

/// Rotary angles for the rows from `first` on.
fn rotary<'a>(context: BlockContext<'a>, first: usize) -> RotaryRows<'a> {
    let BlockContext { config, rope, batch } = context;
    RotaryRows { cos: &rope.cos, sin: &rope.sin, half: config.head_dim / 2, first, length: batch.length }
}

pub(super) fn forward(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &AttentionParameters<Tensor<1>>,
    input: &Tensor<2>,
) -> (Tensor<2>, SavedAttention) {
    let widths = Widths::of(context);
    let rows = context.batch.rows();
    let pool = &kernels.pool;
    let input = Elements::of(input);
    let (mut query, mut key, mut value) =
        (pool.take(rows * widths.query), pool.take(rows * widths.kv), pool.take(rows * widths.kv));
    project_inputs(kernels, context, weights, input.slice(), [&mut query, &mut key, &mut value]);

    let mut mixed = pool.take(rows * widths.query);
    let mut log_sum_exp = pool.take(context.batch.sequences * context.config.num_heads * widths.length);
    attend(kernels, widths, [&query, &key, &value], &mut mixed, &mut log_sum_exp);

    let output = project_output(kernels, widths, weights, input.slice(), &mixed);
    let saved = SavedAttention {
        query: kernels.matrix(query, widths.query),
        key: kernels.matrix(key, widths.kv),
        value: kernels.matrix(value, widths.kv),
        context: kernels.matrix(mixed, widths.query),
        log_sum_exp: kernels.matrix(log_sum_exp, widths.length),
    };
    (kernels.matrix(output, widths.hidden), saved)
}

/// Norm, three projections and rotation, block of rows by block of rows.
fn project_inputs(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &AttentionParameters<Tensor<1>>,
    input: &[f32],
    [query, key, value]: [&mut [f32]; 3],
) {
    let widths = Widths::of(context);
    let epsilon = context.config.norm_epsilon as f32;
    let weights = Weights::of(weights);
    let block = rows_per_task(context.batch.rows());
    let outputs = query
        .par_chunks_mut(block * widths.query)
        .zip(key.par_chunks_mut(block * widths.kv))
        .zip(value.par_chunks_mut(block * widths.kv));
    input.par_chunks(block * widths.hidden).zip(outputs).enumerate().for_each(
        |(index, (input, ((query, key), value)))| {
            let mut normed = kernels.pool.scratch(input.len());
            vector::rms_norm(input, weights.norm.slice(), epsilon, &mut normed);
            project(query, &normed, weights.query.slice(), widths.hidden, Write::Replace);
            project(key, &normed, weights.key.slice(), widths.hidden, Write::Replace);
            project(value, &normed, weights.value.slice(), widths.hidden, Write::Replace);
            let angles = rotary(context, index * block);
            vector::rotate(query, widths.query, angles, 1.0);
            vector::rotate(key, widths.kv, angles, 1.0);
        },
    );
}

/// `input + mixed * output^T`.
fn project_output(
    kernels: &CpuKernels,
    widths: Widths,
    weights: &AttentionParameters<Tensor<1>>,
    input: &[f32],
    mixed: &[f32],
) -> Vec<f32> {
    let weight = Elements::of(&weights.output);
    let block = rows_per_task(input.len() / widths.hidden);
    let mut output = kernels.pool.take(input.len());
    output
        .par_chunks_mut(block * widths.hidden)
        .zip(input.par_chunks(block * widths.hidden))
        .zip(mixed.par_chunks(block * widths.query))
        .for_each(|((output, input), mixed)| {
            output.copy_from_slice(input);
            project(output, mixed, weight.slice(), widths.query, Write::Add);
        });
    output
}

/// The weights as slices.
struct Weights {
    norm: Elements,
    query: Elements,
    key: Elements,
    value: Elements,
}

impl Weights {
    fn of(weights: &AttentionParameters<Tensor<1>>) -> Self {
        let AttentionParameters { norm, query, key, value, .. } = weights;
        Self {
            norm: Elements::of(norm),
            query: Elements::of(query),
            key: Elements::of(key),
            value: Elements::of(value),
        }
    }
}

/// One (window, key head): the rows and columns of an activation that belong to it.
fn window<'a>(values: &'a [f32], width: usize, part: usize, widths: Widths, task: usize) -> Matrix<'a> {
    let parts = width / part;
    let (sequence, index) = (task / parts, task % parts);
    let rows = sequence * widths.length..(sequence + 1) * widths.length;
    Matrix::new(values, width).rows(rows).columns(index * part..(index + 1) * part)
}

/// The same for writing, all of them in order.
fn windows_mut(values: &mut [f32], width: usize, part: usize, widths: Widths) -> Vec<MatrixMut<'_>> {
    values
        .chunks_exact_mut(widths.length * width)
        .flat_map(|window| MatrixMut::new(window, width).into_column_parts(part))
        .collect()
}

/// Softmax attention of every query head over its group's keys and values.
fn attend(
    kernels: &CpuKernels,
    widths: Widths,
    [query, key, value]: [&[f32]; 3],
    mixed: &mut [f32],
    log_sum_exp: &mut [f32],
) {
    let group_width = widths.group * widths.head;
    windows_mut(mixed, widths.query, group_width, widths)
        .into_par_iter()
        .zip(log_sum_exp.par_chunks_mut(widths.group * widths.length))
        .enumerate()
        .for_each(|(task, (mixed, log_sum_exp))| {
            let mut scores = kernels.pool.scratch(TILE * widths.length);
            let query = window(query, widths.query, group_width, widths, task);
            let key = window(key, widths.kv, widths.head, widths, task);
            let value = window(value, widths.kv, widths.head, widths, task);
            let heads = mixed.into_column_parts(widths.head).into_iter();
            for (head, (out, log_sum_exp)) in heads.zip(log_sum_exp.chunks_exact_mut(widths.length)).enumerate() {
                let query = query.columns(head * widths.head..(head + 1) * widths.head);
                attend_head(widths, [query, key, value], out, log_sum_exp, &mut scores);
            }
        });
}

/// One query head of one window, tile by tile.
fn attend_head(
    widths: Widths,
    [query, key, value]: [Matrix<'_>; 3],
    out: MatrixMut<'_>,
    log_sum_exp: &mut [f32],
    scores: &mut [f32],
) {
    for (index, out) in out.into_row_parts(TILE).into_iter().enumerate() {
        let first = index * TILE;
        let keys = (first + TILE).min(widths.length);
        let scores = &mut scores[..(keys - first) * keys];
        let key = key.rows(0..keys);
        multiply(MatrixMut::new(scores, keys), query.rows(first..keys), key.transposed(), Write::Replace);
        vector::causal_softmax(scores, keys, first, widths.scale(), &mut log_sum_exp[first..keys]);
        multiply(out, Matrix::new(scores, keys), value.rows(0..keys), Write::Replace);
    }
}

pub(super) fn backward(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &AttentionParameters<Tensor<1>>,
    input: Tensor<2>,
    saved: SavedAttention,
    gradient: Tensor<2>,
    gradients: &mut AttentionParameters<Tensor<1>>,
) -> Tensor<2> {
    let widths = Widths::of(context);
    let pool = &kernels.pool;
    let saved = SavedElements::of(saved);
    let mut gradient = into_elements(gradient);

    let mixed_gradient = backward_of_output(kernels, widths, weights, &gradient);
    let (dy, mixed) = (Matrix::new(&gradient, widths.hidden), Matrix::new(&saved.context, widths.query));
    kernels.add_weight_gradient(&mut gradients.output, dy, mixed, widths.query);

    let mut inputs = [pool.take(saved.query.len()), pool.take(saved.key.len()), pool.take(saved.value.len())];
    backward_of_attend(kernels, widths, &saved, &mixed_gradient, &mut inputs);
    saved.recycle(kernels);
    pool.give(mixed_gradient);

    let input = into_elements(input);
    let normed = backward_of_inputs(kernels, context, weights, &input, &mut inputs, &mut gradient, &mut gradients.norm);
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
        let SavedAttention { query, key, value, context, log_sum_exp } = saved;
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
    weights: &AttentionParameters<Tensor<1>>,
    gradient: &[f32],
) -> Vec<f32> {
    let weight = Elements::of(&weights.output);
    let rows = gradient.len() / widths.hidden;
    let block = rows_per_task(rows);
    let mut mixed = kernels.pool.take(rows * widths.query);
    mixed
        .par_chunks_mut(block * widths.query)
        .zip(gradient.par_chunks(block * widths.hidden))
        .for_each(|(mixed, gradient)| project_backward(mixed, gradient, weight.slice(), widths.query, Write::Replace));
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
            let scratch = &mut Tile::new(kernels, widths);
            for (head, query) in query.into_column_parts(widths.head).into_iter().enumerate() {
                let inputs = HeadInputs::of(widths, saved, mixed_gradient, task, head);
                backward_of_head(widths, inputs, [query, key.reborrow(), value.reborrow()], scratch);
            }
        });
}

/// Buffers of one task.
struct Tile<'a> {
    probabilities: super::pool::Scratch<'a>,
    gradient: super::pool::Scratch<'a>,
    dot: super::pool::Scratch<'a>,
}

impl<'a> Tile<'a> {
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
    fn of(widths: Widths, saved: &'a SavedElements, mixed_gradient: &'a [f32], task: usize, head: usize) -> Self {
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
    tile: &mut Tile<'_>,
) {
    let scale = widths.scale();
    for (index, query_gradient) in query.into_row_parts(TILE).into_iter().enumerate() {
        let first = index * TILE;
        let keys = (first + TILE).min(widths.length);
        let count = keys - first;
        let probabilities = &mut tile.probabilities[..count * keys];
        let gradient = &mut tile.gradient[..count * keys];
        let dot = &mut tile.dot[..count];

        let (q, k, v) = (inputs.query.rows(first..keys), inputs.key.rows(0..keys), inputs.value.rows(0..keys));
        let dy = inputs.out_gradient.rows(first..keys);
        let out = inputs.out.rows(first..keys);
        for (row, dot) in dot.iter_mut().enumerate() {
            *dot = vector::dot(out.row(row), dy.row(row));
        }
        multiply(MatrixMut::new(probabilities, keys), q, k.transposed(), Write::Replace);
        vector::causal_probabilities(probabilities, keys, first, scale, &inputs.log_sum_exp[first..keys]);
        multiply(value.rows_mut(0..keys), Matrix::new(probabilities, keys).transposed(), dy, Write::Add);

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
    weights: &AttentionParameters<Tensor<1>>,
    input: &[f32],
    [query, key, value]: &mut [Vec<f32>; 3],
    gradient: &mut [f32],
    norm_gradient: &mut Tensor<1>,
) -> Vec<f32> {
    let widths = Widths::of(context);
    let epsilon = context.config.norm_epsilon as f32;
    let weights = Weights::of(weights);
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
    let partial_sums =
        inputs.zip(hidden).enumerate().map(|(index, (((query, key), value), ((input, normed), gradient)))| {
            let angles = rotary(context, index * block);
            vector::rotate(query, widths.query, angles, -1.0);
            vector::rotate(key, widths.kv, angles, -1.0);
            let norm = weights.norm.slice();
            vector::rms_norm(input, norm, epsilon, normed);
            let mut normed_gradient = kernels.pool.scratch(input.len());
            project_backward(&mut normed_gradient, query, weights.query.slice(), widths.hidden, Write::Replace);
            project_backward(&mut normed_gradient, key, weights.key.slice(), widths.hidden, Write::Add);
            project_backward(&mut normed_gradient, value, weights.value.slice(), widths.hidden, Write::Add);
            let mut partial = vec![0.0; widths.hidden];
            vector::rms_norm_backward(input, norm, epsilon, &normed_gradient, gradient, &mut partial);
            partial
        });
    kernels.add_norm_gradient(norm_gradient, partial_sums.collect());
    normed
}
