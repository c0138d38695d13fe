//! The kernels of the CPU, and the projections that their parts share.
//!
//! Work is divided into blocks of rows. A block is small enough for the cache of a core: a step of
//! a half-block reads from the cache what the step before has written.

use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use super::matrix::{Matrix, MatrixMut, Write, multiply, multiply_parallel};
use super::pool::Pool;
use super::tensors::{Elements, change, into_elements, matrix};
use crate::kernels::cpu::attention;
use crate::kernels::cpu::head;
use crate::kernels::cpu::mlp;
use crate::kernels::kernels::{
    AttentionInputs, AttentionWeights, Backward, BlockContext, Head, HeadGradients, Kernels,
    MlpWeights, SavedAttention, SavedMlp, Targets,
};
use crate::kernels::losses::Losses;

/// Fast kernels for tensors of Burn's CPU backend, in fp32.
#[derive(Debug)]
pub struct CpuKernels {
    pub(super) device: Device,
    pub(super) pool: Pool,
}

impl CpuKernels {
    /// Kernels with an empty pool. `device` must be the CPU.
    pub fn new(device: Device) -> Self {
        Self { device, pool: Pool::default() }
    }

    pub(super) fn matrix(&self, elements: Vec<f32>, width: usize) -> Tensor<2> {
        matrix(elements, width, &self.device)
    }

    /// Adds `left^T * right` to the gradient of a weight: for `y = x W^T`, it is `dy^T x`.
    pub(super) fn add_weight_gradient(
        &self,
        gradient: &mut Tensor<1>,
        left: Matrix<'_>,
        right: Matrix<'_>,
        width: usize,
    ) {
        change(gradient, &self.device, |gradient| {
            multiply_parallel(
                MatrixMut::new(gradient, width),
                left.transposed(),
                right,
                Write::Add,
            );
        });
    }

    /// Adds the partial sums of the blocks to the gradient of a norm, in the order of the blocks.
    pub(super) fn add_norm_gradient(&self, gradient: &mut Tensor<1>, partial_sums: Vec<Vec<f32>>) {
        change(gradient, &self.device, |gradient| {
            for partial in partial_sums {
                gradient.iter_mut().zip(partial).for_each(|(sum, part)| *sum += part);
            }
        });
    }
}

/// Rows of one task: enough to amortize the packing of a matrix product, few enough for the cache.
///
/// The number depends on `rows` only. Sums over tasks are taken in the order of tasks, so results
/// are the same on any number of threads.
pub(crate) fn rows_per_task(rows: usize) -> usize {
    // Eight tasks if they get 32 to 256 rows each. Smaller tasks would spend their time on packing,
    // larger ones would exceed the cache.
    rows.div_ceil(8).next_multiple_of(32).clamp(32, 256)
}

/// `out = input * weight^T` for a weight `[out, in]`.
pub(super) fn project(
    out: &mut [f32],
    input: &[f32],
    weight: &[f32],
    input_width: usize,
    write: Write,
) {
    let weight = Matrix::new(weight, input_width);
    let width = weight.num_rows();
    multiply(
        MatrixMut::new(out, width),
        Matrix::new(input, input_width),
        weight.transposed(),
        write,
    );
}

/// `out = gradient * weight` for a weight `[out, in]`: the gradient of [`project`] with respect to
/// its input.
pub(super) fn project_backward(
    out: &mut [f32],
    gradient: &[f32],
    weight: &[f32],
    input_width: usize,
    write: Write,
) {
    let weight = Matrix::new(weight, input_width);
    let width = weight.num_rows();
    multiply(MatrixMut::new(out, input_width), Matrix::new(gradient, width), weight, write);
}

impl Kernels for CpuKernels {
    fn embed(&self, table: &Tensor<1>, tokens: &[u32], width: usize) -> Tensor<2> {
        let table = Elements::of(table);
        let table = table.slice();
        let mut rows = self.pool.take(tokens.len() * width);
        // At least 64 rows per task, as the copy of one row is shorter than the start of a task.
        rows.par_chunks_mut(width).zip(tokens).with_min_len(64).for_each(|(row, token)| {
            row.copy_from_slice(&table[*token as usize * width..][..width]);
        });
        self.matrix(rows, width)
    }

    fn embed_backward(&self, tokens: &[u32], gradient: Tensor<2>, table_gradient: &mut Tensor<1>) {
        let width = gradient.dims()[1];
        let gradient = into_elements(gradient);
        // On one thread: rows of equal tokens go to the same place, and their order fixes the bits.
        change(table_gradient, &self.device, |table| {
            for (row, token) in gradient.chunks_exact(width).zip(tokens) {
                let sums = &mut table[*token as usize * width..][..width];
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        });
        self.pool.give(gradient);
    }

    fn attention(
        &self,
        context: BlockContext<'_>,
        weights: &AttentionWeights,
        input: &Tensor<2>,
    ) -> (Tensor<2>, SavedAttention) {
        attention::forward::forward(self, context, weights, input)
    }

    fn attention_inputs(
        &self,
        context: BlockContext<'_>,
        weights: &AttentionWeights,
        input: &Tensor<2>,
    ) -> AttentionInputs {
        attention::forward::inputs(self, context, weights, input)
    }

    fn attention_backward(
        &self,
        context: BlockContext<'_>,
        start: Backward<'_, AttentionWeights, SavedAttention>,
        gradients: &mut AttentionWeights,
    ) -> Tensor<2> {
        attention::backward(self, context, start, gradients)
    }

    fn mlp(
        &self,
        context: BlockContext<'_>,
        weights: &MlpWeights,
        input: &Tensor<2>,
    ) -> (Tensor<2>, SavedMlp) {
        mlp::forward(self, context, weights, input)
    }

    fn mlp_inputs(
        &self,
        context: BlockContext<'_>,
        weights: &MlpWeights,
        input: &Tensor<2>,
    ) -> SavedMlp {
        mlp::inputs(self, context, weights, input)
    }

    fn mlp_backward(
        &self,
        context: BlockContext<'_>,
        start: Backward<'_, MlpWeights, SavedMlp>,
        gradients: &mut MlpWeights,
    ) -> Tensor<2> {
        mlp::backward(self, context, start, gradients)
    }

    fn logits(
        &self,
        context: BlockContext<'_>,
        weights: Head<&Tensor<1>>,
        input: &Tensor<2>,
    ) -> Tensor<2> {
        head::logits(self, context, weights, input)
    }

    fn loss(
        &self,
        context: BlockContext<'_>,
        weights: Head<&Tensor<1>>,
        input: &Tensor<2>,
        targets: &[u32],
    ) -> Losses {
        Losses::Sum(head::loss(self, context, weights, input, targets))
    }

    fn loss_backward(
        &self,
        context: BlockContext<'_>,
        weights: Head<&Tensor<1>>,
        input: Tensor<2>,
        targets: Targets<'_>,
        gradients: HeadGradients<'_>,
    ) -> (Losses, Tensor<2>) {
        let (loss, gradient) =
            head::loss_backward(self, context, weights, input, targets, gradients);
        (Losses::Sum(loss), gradient)
    }

    fn recycle(&self, activation: Tensor<2>) {
        self.pool.give(into_elements(activation));
    }
}
