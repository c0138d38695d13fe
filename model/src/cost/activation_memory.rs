//! Memory of one device for activations and buffers during a training step. Weights, gradients and
//! optimizer moments are not included.

use std::collections::BTreeMap;

use crate::config::{ActivationCheckpointing, ModelConfig, Precision};
use crate::kernels::cpu::attention::TILE;
use crate::kernels::cpu::rows_per_task;
use crate::kernels::{BatchShape, MAX_DEVICE_LOGITS, MAX_LOGITS, logit_rows_at_once};

/// Work of one device between the first all-gather of a step and the last reduce-scatter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepShape {
    /// Sequences per micro-batch.
    pub sequences: usize,
    /// Tokens per sequence.
    pub length: usize,
    /// Micro-batches that share a gather. Their activations are in memory at the same time.
    pub micro_batches_per_gather: usize,
    /// The blocks that recompute their activations.
    pub activation_checkpointing: ActivationCheckpointing,
}

impl StepShape {
    fn batch(&self) -> BatchShape {
        BatchShape { sequences: self.sequences, length: self.length }
    }

    fn rows(&self) -> usize {
        self.batch().rows()
    }
}

/// Bytes of activations and buffers at the peak of a step, by purpose.
///
/// For the fast kernels, a simulation takes and returns buffers in the order of a step. Their pool
/// keeps all returned buffers, so its size is the largest number in use at a time, summed over all
/// lengths. `tests/memory.rs` compares the estimates with a counting allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivationMemory {
    /// Activations kept from the forward to the backward pass, and the residual stream.
    pub kept: u64,
    /// Logits of the rows that are processed at a time. Their gradient reuses the memory.
    pub logits: u64,
    /// The rest at its peak: projections of the block at work, gradients of activations, and
    /// scratch of all threads.
    pub working: u64,
}

impl ActivationMemory {
    /// Estimate for the fast kernels of the CPU, in fp32, on `threads` threads.
    pub fn fast(config: &ModelConfig, shape: &StepShape, threads: usize) -> Self {
        let simulation =
            StepSimulation { config, shape: *shape, threads, pool: PoolCount::default() };
        let total = bytes(simulation.run());
        let kept = bytes(shape.micro_batches_per_gather * kept_numbers(config, shape));
        let logits = bytes(
            shape.rows().min(logit_rows_at_once(MAX_LOGITS, config.vocab_size)) * config.vocab_size,
        );
        Self { kept, logits, working: total - kept - logits }
    }

    /// Estimate for the composed kernels on a GPU.
    ///
    /// Counted from the tensor operations as written, as if each kept its inputs until it is done.
    /// The allocator of the device may round sizes up and reserve more.
    pub fn composed(config: &ModelConfig, shape: &StepShape, precision: Precision) -> Self {
        let (rows, number) = (shape.rows(), precision.bytes());
        let logit_rows = rows.min(logit_rows_at_once(MAX_DEVICE_LOGITS, config.vocab_size));
        // The log-sum-exp is fp32 in every precision, so bf16 saves nothing there.
        let log_sum_exp = rows * config.num_heads * config.num_layers;
        let kept = shape.micro_batches_per_gather
            * (kept_numbers(config, shape) * number + log_sum_exp * (size_of::<f32>() - number));
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        // Two residual gradients in the compute dtype, five intermediate values of RMSNorm in fp32.
        let norm = hidden * (2 * number + 5 * size_of::<f32>());
        // All activations still exist at the head and in the backward pass of the last block, so
        // one of the two is the peak. Gate and up projections of this block are among the kept
        // ones, unless it recomputes them.
        let widest =
            if shape.activation_checkpointing.includes(config.num_layers - 1) { 6 } else { 4 };
        let block =
            rows * (widest * inner * number + norm) + weight_gradient(inner * hidden, number);
        // Twice in fp32: before and after the gradient subtracts 1 at the target.
        let logits = 2 * logit_rows * config.vocab_size * size_of::<f32>();
        let head = logits
            + rows * hidden * number
            + logit_rows * norm
            + weight_gradient(config.vocab_size * hidden, number);
        let [kept, logits, peak] = [kept, logits, block.max(head)].map(|bytes| bytes as u64);
        Self { kept, logits, working: peak - logits.min(peak) }
    }

    /// Sum of all parts.
    pub fn total(&self) -> u64 {
        self.kept + self.logits + self.working
    }
}

/// Numbers that one micro-batch keeps: in each block, and the last residual.
fn kept_numbers(config: &ModelConfig, shape: &StepShape) -> usize {
    let narrow = 2 * config.hidden_size + config.query_width() + config.num_heads;
    let wide = config.query_width() + 2 * config.kv_width() + 2 * config.intermediate_size;
    let num_wide = config.num_layers - shape.activation_checkpointing.count(config.num_layers);
    shape.rows() * (config.num_layers * narrow + num_wide * wide + config.hidden_size)
}

/// Bytes of the gradient of `elements` weights: as the matrix product returns it, and in fp32.
fn weight_gradient(elements: usize, bytes_per_number: usize) -> usize {
    elements * (bytes_per_number + size_of::<f32>())
}

fn bytes(numbers: usize) -> u64 {
    (numbers * size_of::<f32>()) as u64
}

/// For each length, the number of buffers in use, and its peak.
#[derive(Default)]
struct PoolCount {
    in_use: BTreeMap<usize, usize>,
    peak: BTreeMap<usize, usize>,
}

impl PoolCount {
    fn take(&mut self, lengths: &[usize]) {
        for length in lengths {
            let in_use = self.in_use.entry(*length).or_default();
            *in_use += 1;
            let peak = self.peak.entry(*length).or_default();
            *peak = (*peak).max(*in_use);
        }
    }

    fn give(&mut self, lengths: &[usize]) {
        for length in lengths {
            *self.in_use.get_mut(length).expect("a returned buffer was taken before") -= 1;
        }
    }

    /// Buffers that are returned within the same step of a kernel.
    fn take_and_give(&mut self, lengths: &[usize]) {
        self.take(lengths);
        self.give(lengths);
    }

    fn numbers(&self) -> usize {
        self.peak.iter().map(|(length, count)| length * count).sum()
    }
}

// A change of the kernels' buffers must be repeated here: the functions below mirror
// `kernels/cpu/attention`, `kernels/cpu/mlp.rs` and `kernels/cpu/head.rs` call by call.
/// Simulation of the pool during one step of the fast kernels.
struct StepSimulation<'a> {
    config: &'a ModelConfig,
    shape: StepShape,
    threads: usize,
    pool: PoolCount,
}

impl StepSimulation<'_> {
    /// Numbers in the pool at the end of the step.
    fn run(mut self) -> usize {
        let micro_batches = 0..self.shape.micro_batches_per_gather;
        // The order of `network::ForwardBackward`: all micro-batches pass one block before any of
        // them enters the next, because they share its gathered weights.
        micro_batches.clone().for_each(|_| self.pool.take(&[self.hidden()]));
        for layer in 0..self.config.num_layers {
            micro_batches.clone().for_each(|_| self.forward(layer));
        }
        micro_batches.clone().for_each(|_| self.head());
        for layer in (0..self.config.num_layers).rev() {
            micro_batches.clone().for_each(|_| self.backward(layer));
        }
        self.pool.numbers()
    }

    fn hidden(&self) -> usize {
        self.shape.rows() * self.config.hidden_size
    }

    fn inner(&self) -> usize {
        self.shape.rows() * self.config.intermediate_size
    }

    /// Lengths of queries, keys and values.
    fn projections(&self) -> [usize; 3] {
        [self.config.query_width(), self.config.kv_width(), self.config.kv_width()]
            .map(|width| self.shape.rows() * width)
    }

    /// Lengths of attention's output and log-sum-exp.
    fn attended(&self) -> [usize; 2] {
        [self.projections()[0], self.shape.rows() * self.config.num_heads]
    }

    /// Scratch with `per_row` numbers for each row of a block, on all threads that get a block.
    fn row_scratch(&self, rows: usize, per_row: &[usize]) -> Vec<usize> {
        let block = rows_per_task(rows).min(rows);
        let tasks = rows.div_ceil(block).min(self.threads);
        per_row.iter().map(|width| block * width).collect::<Vec<_>>().repeat(tasks)
    }

    /// Tiles of scores on all threads that get a window.
    fn score_scratch(&self, tiles: usize) -> Vec<usize> {
        let tasks = (self.shape.sequences * self.config.num_kv_heads).min(self.threads);
        vec![TILE * self.shape.length; tiles * tasks]
    }

    fn forward(&mut self, layer: usize) {
        let (hidden, inner) = (self.config.hidden_size, self.config.intermediate_size);
        let recomputed = self.shape.activation_checkpointing.includes(layer);
        self.project_inputs();
        self.pool.take(&self.attended());
        self.pool.take_and_give(&self.score_scratch(1));
        self.pool.take(&[self.hidden()]);
        // Also a recomputed block needs its projections once; they go back right after their use.
        if recomputed {
            self.pool.give(&self.projections());
        }
        self.pool.take(&[self.inner(), self.inner(), self.hidden()]);
        self.pool.take_and_give(&self.row_scratch(self.shape.rows(), &[hidden, inner]));
        if recomputed {
            self.pool.give(&[self.inner(), self.inner()]);
        }
    }

    fn project_inputs(&mut self) {
        self.pool.take(&self.projections());
        self.pool.take_and_give(&self.row_scratch(self.shape.rows(), &[self.config.hidden_size]));
    }

    fn head(&mut self) {
        let (hidden, vocab) = (self.config.hidden_size, self.config.vocab_size);
        let rows = self.shape.rows().min(logit_rows_at_once(MAX_LOGITS, vocab));
        self.pool.take(&[self.hidden(), rows * vocab, rows * hidden]);
        self.pool.take_and_give(&self.row_scratch(rows, &[hidden]));
        self.pool.give(&[self.hidden(), rows * vocab, rows * hidden]);
    }

    fn backward(&mut self, layer: usize) {
        let recomputed = self.shape.activation_checkpointing.includes(layer);
        let scratch = self.row_scratch(self.shape.rows(), &[self.config.hidden_size]);
        if recomputed {
            self.pool.take(&[self.inner(), self.inner()]);
            self.pool.take_and_give(&scratch);
        }
        self.pool.take(&[self.inner(), self.hidden(), self.hidden()]);
        self.pool.take_and_give(&scratch);
        self.pool.give(&[self.inner(), self.inner(), self.inner()]);
        self.pool.give(&[self.hidden(), self.hidden(), self.hidden()]);

        // Only now, since `Decoder::block_backward` finishes the feed-forward half first.
        if recomputed {
            self.project_inputs();
        }
        self.pool.take(&[self.projections()[0]]);
        self.pool.take(&self.projections());
        self.pool.take_and_give(&self.score_scratch(2));
        self.pool.give(&self.projections());
        self.pool.give(&self.attended());
        self.pool.give(&[self.projections()[0]]);
        self.pool.take(&[self.hidden()]);
        self.pool.take_and_give(&scratch);
        self.pool.give(&self.projections());
        self.pool.give(&[self.hidden(), self.hidden()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;

    fn shape(activation_checkpointing: ActivationCheckpointing) -> StepShape {
        StepShape {
            sequences: 3,
            length: 100,
            micro_batches_per_gather: 1,
            activation_checkpointing,
        }
    }

    #[test]
    fn kept_activations_match_a_manual_count() {
        let config = preset("tiny").unwrap();
        // Input 128, middle 128, output of attention 128, log-sum-exp 4; queries 128, keys and
        // values 64 each, gate and up 352 each.
        let (narrow, wide) = (388, 256 + 704);
        let [none, all, half] = [
            ActivationCheckpointing::None,
            ActivationCheckpointing::Every(1),
            ActivationCheckpointing::Every(2),
        ]
        .map(|checkpointing| ActivationMemory::fast(&config, &shape(checkpointing), 2).kept);
        assert_eq!(none, 4 * 300 * (4 * (narrow + wide) + 128));
        assert_eq!(all, 4 * 300 * (4 * narrow + 128));
        assert_eq!(half, 4 * 300 * (4 * narrow + 2 * wide + 128));
        let bf16 = ActivationMemory::composed(
            &config,
            &shape(ActivationCheckpointing::None),
            Precision::Bf16,
        )
        .kept;
        assert_eq!(bf16, 300 * (2 * (4 * (narrow + wide) + 128) + 2 * 4 * 4));
    }

    #[test]
    fn micro_batches_of_one_gather_share_working_memory() {
        let config = preset("tiny").unwrap();
        let one = ActivationMemory::fast(&config, &shape(ActivationCheckpointing::None), 2);
        let three = ActivationMemory::fast(
            &config,
            &StepShape { micro_batches_per_gather: 3, ..shape(ActivationCheckpointing::None) },
            2,
        );
        assert_eq!(three.kept, 3 * one.kept);
        assert_eq!(three.logits, one.logits);
        assert!(three.working <= one.working, "{three:?} and {one:?}");
    }
}
