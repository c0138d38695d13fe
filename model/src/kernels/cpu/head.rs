//! Final norm, output projection and cross-entropy on slices, with a bounded number of logits in
//! memory.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::cpu_kernels::{CpuKernels, project, project_backward, rows_per_task};
use super::matrix::{Matrix, MatrixMut, Write, multiply_parallel};
use super::tensors::{Elements, change, into_elements};
use super::vector;
use crate::kernels::kernels::{
    BlockContext, Head, HeadGradients, MAX_LOGITS, Targets, logit_rows_at_once,
};

/// The weights of the head as slices, with their sizes.
struct Projection {
    norm: Elements,
    weight: Elements,
    epsilon: f32,
    hidden: usize,
    vocab: usize,
}

impl Projection {
    fn of(context: BlockContext<'_>, weights: Head<&Tensor<1>>) -> Self {
        Self {
            norm: Elements::of(weights.norm),
            weight: Elements::of(weights.projection),
            epsilon: context.config.norm_epsilon as f32,
            hidden: context.config.hidden_size,
            vocab: context.config.vocab_size,
        }
    }

    /// Normalizes `input` into `normed`, and projects it to `logits`.
    fn logits(&self, input: &[f32], normed: &mut [f32], logits: &mut [f32]) {
        vector::rms_norm(input, self.norm.slice(), self.epsilon, normed);
        project(logits, normed, self.weight.slice(), self.hidden, Write::Replace);
    }

    /// Gradient of the normalized input from that of the logits.
    fn backward_of_logits(&self, logits_gradient: &[f32], normed_gradient: &mut [f32]) {
        let weight = self.weight.slice();
        project_backward(normed_gradient, logits_gradient, weight, self.hidden, Write::Replace);
    }

    /// Writes the gradient of the input; returns that of the norm's weight, summed over the rows.
    fn backward_of_norm(
        &self,
        input: &[f32],
        normed_gradient: &[f32],
        input_gradient: &mut [f32],
    ) -> Vec<f32> {
        // `rms_norm_backward` adds, and the buffer has old content. The head has no residual path.
        input_gradient.fill(0.0);
        let mut partial = vec![0.0; self.hidden];
        let (norm, epsilon) = (self.norm.slice(), self.epsilon);
        let dx = input_gradient;
        vector::rms_norm_backward(input, norm, epsilon, normed_gradient, dx, &mut partial);
        partial
    }
}

/// Logits of all rows.
pub(super) fn logits(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: Head<&Tensor<1>>,
    input: &Tensor<2>,
) -> Tensor<2> {
    let head = Projection::of(context, weights);
    let input = Elements::of(input);
    let rows = input.slice().len() / head.hidden;
    let mut logits = kernels.pool.take(rows * head.vocab);
    let block = rows_per_task(rows);
    input
        .slice()
        .par_chunks(block * head.hidden)
        .zip(logits.par_chunks_mut(block * head.vocab))
        .for_each(|(input, logits)| {
            head.logits(input, &mut kernels.pool.scratch(input.len()), logits)
        });
    kernels.matrix(logits, head.vocab)
}

/// Sum of the losses of all rows.
pub(super) fn loss(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: Head<&Tensor<1>>,
    input: &Tensor<2>,
    targets: &[u32],
) -> f64 {
    let head = Projection::of(context, weights);
    let input = Elements::of(input);
    // Each thread has the logits of one block only, so the limit is per thread here.
    let block = rows_per_task(targets.len()).min(logit_rows_at_once(MAX_LOGITS, head.vocab));
    let losses = input.slice().par_chunks(block * head.hidden).zip(targets.par_chunks(block)).map(
        |(input, targets)| {
            let mut logits = kernels.pool.scratch(targets.len() * head.vocab);
            head.logits(input, &mut kernels.pool.scratch(input.len()), &mut logits);
            // The gradient, which the logits become, is not used.
            sum_losses(&mut logits, head.vocab, targets, 1.0)
        },
    );
    // Collected first: the order of a parallel sum depends on the threads.
    losses.collect::<Vec<f64>>().into_iter().sum()
}

/// Sum of the cross-entropies of consecutive rows. The logits become their gradients times `scale`.
fn sum_losses(logits: &mut [f32], vocab: usize, targets: &[u32], scale: f32) -> f64 {
    let rows = logits.chunks_exact_mut(vocab).zip(targets);
    rows.map(|(logits, target)| f64::from(vector::cross_entropy(logits, *target as usize, scale)))
        .sum()
}

/// Sum of the losses, and gradient of the input. Adds to `gradients`.
pub(super) fn loss_backward(
    kernels: &CpuKernels,
    context: BlockContext<'_>,
    weights: Head<&Tensor<1>>,
    input: Tensor<2>,
    targets: Targets<'_>,
    gradients: HeadGradients<'_>,
) -> (f64, Tensor<2>) {
    let head = Projection::of(context, weights);
    let input = into_elements(input);
    let mut input_gradient = kernels.pool.take(input.len());
    let mut loss = 0.0;
    let mut norm_gradients = Vec::new();
    // Parts in order, each on all threads: all of them add to the one gradient of the projection.
    change(gradients.projection, &kernels.device, |weight_gradient| {
        let at_once = logit_rows_at_once(MAX_LOGITS, head.vocab);
        let inputs = input
            .chunks(at_once * head.hidden)
            .zip(input_gradient.chunks_mut(at_once * head.hidden));
        for ((input, input_gradient), tokens) in inputs.zip(targets.tokens.chunks(at_once)) {
            let targets = Targets { tokens, ..targets };
            let part = loss_backward_of_rows(
                kernels,
                &head,
                input,
                targets,
                input_gradient,
                weight_gradient,
            );
            loss += part.loss;
            norm_gradients.extend(part.norm_gradients);
        }
    });
    kernels.add_norm_gradient(gradients.norm, norm_gradients);
    kernels.pool.give(input);
    (loss, kernels.matrix(input_gradient, head.hidden))
}

/// Loss of a part of the rows, and its partial sums of the norm's gradient.
struct LogitsPart {
    loss: f64,
    norm_gradients: Vec<Vec<f32>>,
}

/// Loss and gradients of a part of the rows, with all its logits in memory at the same time.
fn loss_backward_of_rows(
    kernels: &CpuKernels,
    head: &Projection,
    input: &[f32],
    targets: Targets<'_>,
    input_gradient: &mut [f32],
    weight_gradient: &mut [f32],
) -> LogitsPart {
    let rows = targets.tokens.len();
    let mut logits = kernels.pool.scratch(rows * head.vocab);
    let mut normed = kernels.pool.scratch(input.len());
    let block = rows_per_task(rows);
    let of_hidden = block * head.hidden;
    let activations = input.par_chunks(of_hidden).zip(normed.par_chunks_mut(of_hidden));
    let outputs =
        logits.par_chunks_mut(block * head.vocab).zip(input_gradient.par_chunks_mut(of_hidden));
    let parts = activations.zip(outputs).zip(targets.tokens.par_chunks(block)).map(
        |(((input, normed), (logits, input_gradient)), tokens)| {
            head.logits(input, normed, logits);
            let loss = sum_losses(logits, head.vocab, tokens, targets.scale);
            let mut normed_gradient = kernels.pool.scratch(input.len());
            head.backward_of_logits(logits, &mut normed_gradient);
            (loss, head.backward_of_norm(input, &normed_gradient, input_gradient))
        },
    );
    let (losses, norm_gradients): (Vec<f64>, Vec<Vec<f32>>) = parts.unzip();
    // After all blocks, as it needs the logits of all rows: a block is too small to share the
    // threads.
    let out = MatrixMut::new(weight_gradient, head.hidden);
    let (logits, normed) = (Matrix::new(&logits, head.vocab), Matrix::new(&normed, head.hidden));
    multiply_parallel(out, logits.transposed(), normed, Write::Add);
    LogitsPart { loss: losses.into_iter().sum(), norm_gradients }
}
