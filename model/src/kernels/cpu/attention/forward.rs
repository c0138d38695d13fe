//! Forward pass of the attention half, and the views that the backward pass shares.
//!
//! Scores are in memory for one tile of queries at a time, with the keys that these queries see.
//! The backward pass recomputes them from the saved log-sum-exp, as in FlashAttention (arXiv
//! 2205.14135, algorithm 4).
//!
//! A task is one window and one key head, with the group of query heads that share this key head.

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::config::AttentionParameters;
use crate::kernels::cpu::cpu_kernels::{CpuKernels, project, rows_per_task};
use crate::kernels::cpu::matrix::{Matrix, MatrixMut, Write, multiply};
use crate::kernels::cpu::tensors::Elements;
use crate::kernels::cpu::vector;
use crate::kernels::cpu::vector::RotaryRows;
use crate::kernels::kernels::{AttentionInputs, AttentionWeights, BlockContext, SavedAttention};

/// Queries with scores in memory at a time. A tile of 64 x 2048 scores takes 512 KiB, which fits
/// into the second-level cache of current server cores.
pub(crate) const TILE: usize = 64;

/// Sizes of one call.
#[derive(Clone, Copy)]
pub(super) struct Widths {
    pub(super) hidden: usize,
    pub(super) query: usize,
    pub(super) kv: usize,
    pub(super) head: usize,
    /// Query heads per key head.
    pub(super) group: usize,
    pub(super) length: usize,
}

impl Widths {
    pub(super) fn of(context: BlockContext<'_>) -> Self {
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

    /// Factor on the scores before the softmax: 1 / sqrt(head_dim).
    pub(super) fn scale(&self) -> f32 {
        (self.head as f32).powf(-0.5)
    }
}

/// Rotary angles for the rows from `first` on.
pub(super) fn rotary<'a>(context: BlockContext<'a>, first: usize) -> RotaryRows<'a> {
    let BlockContext { config, rope, batch } = context;
    RotaryRows {
        cos: &rope.cos,
        sin: &rope.sin,
        half: config.head_dim / 2,
        first,
        length: batch.length,
    }
}

/// Forward pass: `input + output(attention)`, and the activations for the backward pass.
pub(crate) fn forward(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &AttentionWeights,
    input: &Tensor<2>,
) -> (Tensor<2>, SavedAttention) {
    let widths = Widths::of(context);
    let pool = &kernels.pool;
    let input = Elements::of(input);
    let [query, key, value] = projected(kernels, context, weights, input.slice());

    let mut mixed = pool.take(query.len());
    let mut log_sum_exp =
        pool.take(context.batch.sequences * context.config.num_heads * widths.length);
    attend(kernels, widths, [&query, &key, &value], &mut mixed, &mut log_sum_exp);

    let output = project_output(kernels, widths, weights, input.slice(), &mixed);
    let saved = SavedAttention {
        inputs: as_tensors(kernels, widths, [query, key, value]),
        context: kernels.matrix(mixed, widths.query),
        log_sum_exp: kernels.matrix(log_sum_exp, widths.length),
    };
    (kernels.matrix(output, widths.hidden), saved)
}

/// Rotated queries, rotated keys, and values. Used to recompute them.
pub(crate) fn inputs(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &AttentionWeights,
    input: &Tensor<2>,
) -> AttentionInputs {
    let buffers = projected(kernels, context, weights, Elements::of(input).slice());
    as_tensors(kernels, Widths::of(context), buffers)
}

fn as_tensors(
    kernels: &CpuKernels,
    widths: Widths,
    [query, key, value]: [Vec<f32>; 3],
) -> AttentionInputs {
    AttentionInputs {
        query: kernels.matrix(query, widths.query),
        key: kernels.matrix(key, widths.kv),
        value: kernels.matrix(value, widths.kv),
    }
}

/// Rotated queries, rotated keys, and values, in buffers of the pool.
fn projected(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &AttentionWeights,
    input: &[f32],
) -> [Vec<f32>; 3] {
    let widths = Widths::of(context);
    let rows = context.batch.rows();
    let mut buffers =
        [widths.query, widths.kv, widths.kv].map(|width| kernels.pool.take(rows * width));
    project_inputs(kernels, context, weights, input, buffers.each_mut().map(Vec::as_mut_slice));
    buffers
}

/// Norm, three projections and rotation, in blocks of rows.
fn project_inputs(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: &AttentionWeights,
    input: &[f32],
    [query, key, value]: [&mut [f32]; 3],
) {
    let widths = Widths::of(context);
    let epsilon = context.config.norm_epsilon as f32;
    let weights = WeightSlices::of(weights);
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
            // Here, while the rows are in the cache; a block starts in the middle of a window.
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
    weights: &AttentionWeights,
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

/// Weights before attention as slices.
pub(super) struct WeightSlices {
    pub(super) norm: Elements,
    pub(super) query: Elements,
    pub(super) key: Elements,
    pub(super) value: Elements,
}

impl WeightSlices {
    pub(super) fn of(weights: &AttentionWeights) -> Self {
        let AttentionParameters { norm, query, key, value, .. } = weights;
        Self {
            norm: Elements::of(norm),
            query: Elements::of(query),
            key: Elements::of(key),
            value: Elements::of(value),
        }
    }
}

/// The rows and columns of an activation that belong to a task. `part` is the number of columns per
/// key head.
pub(super) fn window<'a>(
    values: &'a [f32],
    width: usize,
    part: usize,
    widths: Widths,
    task: usize,
) -> Matrix<'a> {
    let parts = width / part;
    let (sequence, index) = (task / parts, task % parts);
    let rows = sequence * widths.length..(sequence + 1) * widths.length;
    Matrix::new(values, width).rows(rows).columns(index * part..(index + 1) * part)
}

/// [`window`] for writing, for all tasks in order.
pub(super) fn windows_mut(
    values: &mut [f32],
    width: usize,
    part: usize,
    widths: Widths,
) -> Vec<MatrixMut<'_>> {
    values
        .chunks_exact_mut(widths.length * width)
        .flat_map(|window| MatrixMut::new(window, width).into_column_parts(part))
        .collect()
}

/// Softmax attention of all query heads.
fn attend(
    kernels: &CpuKernels,
    widths: Widths,
    [query, key, value]: [&[f32]; 3],
    mixed: &mut [f32],
    log_sum_exp: &mut [f32],
) {
    // Query heads of a group share a task, which then reads its keys and values from the cache.
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
            for (head, (out, log_sum_exp)) in
                heads.zip(log_sum_exp.chunks_exact_mut(widths.length)).enumerate()
            {
                let query = query.columns(head * widths.head..(head + 1) * widths.head);
                attend_head(widths, [query, key, value], out, log_sum_exp, &mut scores);
            }
        });
}

/// Attention of one query head in one window, tile by tile.
fn attend_head(
    widths: Widths,
    [query, key, value]: [Matrix<'_>; 3],
    out: MatrixMut<'_>,
    log_sum_exp: &mut [f32],
    scores: &mut [f32],
) {
    for (index, out) in out.into_row_parts(TILE).into_iter().enumerate() {
        let first = index * TILE;
        // Keys after the last query of the tile are never multiplied: this halves the work.
        let keys = (first + TILE).min(widths.length);
        let scores = &mut scores[..(keys - first) * keys];
        let key = key.rows(0..keys);
        multiply(
            MatrixMut::new(scores, keys),
            query.rows(first..keys),
            key.transposed(),
            Write::Replace,
        );
        vector::causal_softmax(scores, keys, first, widths.scale(), &mut log_sum_exp[first..keys]);
        multiply(out, Matrix::new(scores, keys), value.rows(0..keys), Write::Replace);
    }
}
