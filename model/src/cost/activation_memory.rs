//! What one member holds while a training step runs, besides weights, gradients and moments.

use std::collections::BTreeMap;

use crate::config::{ActivationCheckpointing, ModelConfig, Precision};
use crate::kernels::cpu::attention::TILE;
use crate::kernels::cpu::rows_per_task;
use crate::kernels::{BatchShape, MAX_DEVICE_LOGITS, MAX_LOGITS, logit_rows_at_once};

/// What one member computes between the first gather of a step and the last reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepShape {
    /// Sequences of a micro-batch.
    pub sequences: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// Micro-batches handled together: all of them keep their activations at the same time.
    pub together: usize,
    /// Which blocks are computed again.
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

/// Bytes of activations and buffers at the peak of a step, by what they are for.
///
/// The fast kernels' buffers are counted by going through a step as the kernels do, taking and giving back what they
/// take and give back: their pool keeps every buffer, so its size is, length by length, the most that were ever in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivationMemory {
    /// What is kept from the forward to the backward pass, and the residual stream itself.
    pub kept: u64,
    /// Logits of the rows that are held at once; their gradient takes their place.
    pub logits: u64,
    /// Everything else at its fullest: a block's projections while they are used or computed again, gradients of
    /// activations, and every thread's scratch.
    pub working: u64,
}

impl ActivationMemory {
    /// What the fast kernels of the CPU hold, in fp32, on so many threads.
    pub fn fast(config: &ModelConfig, shape: &StepShape, threads: usize) -> Self {
        let walk = Walk { config, shape: *shape, threads, pool: PoolCount::default() };
        let total = bytes(walk.through_step());
        let kept = bytes(shape.together * kept_numbers(config, shape));
        let logits = bytes(
            shape.rows().min(logit_rows_at_once(MAX_LOGITS, config.vocab_size)) * config.vocab_size,
        );
        Self { kept, logits, working: total - kept - logits }
    }

    /// What the composed kernels hold on a device of its own.
    ///
    /// Counted from the operations as they are written, as if every one kept its inputs until it is done; a device's
    /// allocator may round up and hold back more.
    pub fn composed(config: &ModelConfig, shape: &StepShape, precision: Precision) -> Self {
        let (rows, number) = (shape.rows(), precision.bytes());
        let logit_rows = rows.min(logit_rows_at_once(MAX_DEVICE_LOGITS, config.vocab_size));
        // A log-sum-exp stays in fp32.
        let log_sum_exp = rows * config.num_heads * config.num_layers;
        let kept = shape.together
            * (kept_numbers(config, shape) * number + log_sum_exp * (size_of::<f32>() - number));
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        // A weight's gradient as the product gives it, and in fp32 to be added.
        let product = |outputs: usize| outputs * hidden * (number + size_of::<f32>());
        // Two residual gradients in the compute dtype, five of RMSNorm's intermediates in fp32.
        let norm = hidden * (2 * number + 5 * size_of::<f32>());
        // Gate and up projections are among those kept, unless the last block computes them again.
        let widest =
            if shape.activation_checkpointing.includes(config.num_layers - 1) { 6 } else { 4 };
        let block = rows * (widest * inner * number + norm) + product(inner);
        // In fp32 before and after the target's entry is changed.
        let logits = 2 * logit_rows * config.vocab_size * size_of::<f32>();
        let head = logits + rows * hidden * number + logit_rows * norm + product(config.vocab_size);
        let [kept, logits, peak] = [kept, logits, block.max(head)].map(|bytes| bytes as u64);
        Self { kept, logits, working: peak - logits.min(peak) }
    }

    /// All parts together.
    pub fn total(&self) -> u64 {
        self.kept + self.logits + self.working
    }
}

/// Numbers that one micro-batch keeps: of every block, and the last residual.
fn kept_numbers(config: &ModelConfig, shape: &StepShape) -> usize {
    let narrow = 2 * config.hidden_size + config.query_width() + config.num_heads;
    let wide = config.query_width() + 2 * config.kv_width() + 2 * config.intermediate_size;
    let num_wide = config.num_layers - shape.activation_checkpointing.count(config.num_layers);
    shape.rows() * (config.num_layers * narrow + num_wide * wide + config.hidden_size)
}

fn bytes(numbers: usize) -> u64 {
    (numbers * size_of::<f32>()) as u64
}

/// How many buffers of each length are in use, and were at most.
#[derive(Default)]
struct PoolCount {
    in_use: BTreeMap<usize, usize>,
    most: BTreeMap<usize, usize>,
}

impl PoolCount {
    fn take(&mut self, lengths: &[usize]) {
        for length in lengths {
            let in_use = self.in_use.entry(*length).or_default();
            *in_use += 1;
            let most = self.most.entry(*length).or_default();
            *most = (*most).max(*in_use);
        }
    }

    fn give(&mut self, lengths: &[usize]) {
        for length in lengths {
            *self.in_use.get_mut(length).expect("what is given back was taken") -= 1;
        }
    }

    /// Buffers that are given back at once.
    fn pass(&mut self, lengths: &[usize]) {
        self.take(lengths);
        self.give(lengths);
    }

    fn numbers(&self) -> usize {
        self.most.iter().map(|(length, count)| length * count).sum()
    }
}

/// A step of the fast kernels, buffer by buffer.
struct Walk<'a> {
    config: &'a ModelConfig,
    shape: StepShape,
    threads: usize,
    pool: PoolCount,
}

impl Walk<'_> {
    /// Numbers in the pool at the end.
    fn through_step(mut self) -> usize {
        let micro_batches = 0..self.shape.together;
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

    /// Queries, keys, values.
    fn projections(&self) -> [usize; 3] {
        [self.config.query_width(), self.config.kv_width(), self.config.kv_width()]
            .map(|width| self.shape.rows() * width)
    }

    /// Attention's output and log-sum-exp.
    fn attended(&self) -> [usize; 2] {
        [self.projections()[0], self.shape.rows() * self.config.num_heads]
    }

    /// Scratch of `per_row` numbers for a block of rows on every thread that has one.
    fn row_scratch(&self, rows: usize, per_row: &[usize]) -> Vec<usize> {
        let block = rows_per_task(rows).min(rows);
        let tasks = rows.div_ceil(block).min(self.threads);
        per_row.iter().map(|width| block * width).collect::<Vec<_>>().repeat(tasks)
    }

    /// Tiles of scores on every thread that has one.
    fn score_scratch(&self, tiles: usize) -> Vec<usize> {
        let tasks = (self.shape.sequences * self.config.num_kv_heads).min(self.threads);
        vec![TILE * self.shape.length; tiles * tasks]
    }

    fn forward(&mut self, layer: usize) {
        let (hidden, inner) = (self.config.hidden_size, self.config.intermediate_size);
        let recomputed = self.shape.activation_checkpointing.includes(layer);
        self.project_inputs();
        self.pool.take(&self.attended());
        self.pool.pass(&self.score_scratch(1));
        self.pool.take(&[self.hidden()]);
        if recomputed {
            self.pool.give(&self.projections());
        }
        self.pool.take(&[self.inner(), self.inner(), self.hidden()]);
        self.pool.pass(&self.row_scratch(self.shape.rows(), &[hidden, inner]));
        if recomputed {
            self.pool.give(&[self.inner(), self.inner()]);
        }
    }

    fn project_inputs(&mut self) {
        self.pool.take(&self.projections());
        self.pool.pass(&self.row_scratch(self.shape.rows(), &[self.config.hidden_size]));
    }

    fn head(&mut self) {
        let (hidden, vocab) = (self.config.hidden_size, self.config.vocab_size);
        let rows = self.shape.rows().min(logit_rows_at_once(MAX_LOGITS, vocab));
        self.pool.take(&[self.hidden(), rows * vocab, rows * hidden]);
        self.pool.pass(&self.row_scratch(rows, &[hidden]));
        self.pool.give(&[self.hidden(), rows * vocab, rows * hidden]);
    }

    fn backward(&mut self, layer: usize) {
        let recomputed = self.shape.activation_checkpointing.includes(layer);
        let scratch = self.row_scratch(self.shape.rows(), &[self.config.hidden_size]);
        if recomputed {
            self.pool.take(&[self.inner(), self.inner()]);
            self.pool.pass(&scratch);
        }
        self.pool.take(&[self.inner(), self.hidden(), self.hidden()]);
        self.pool.pass(&scratch);
        self.pool.give(&[self.inner(), self.inner(), self.inner()]);
        self.pool.give(&[self.hidden(), self.hidden(), self.hidden()]);

        if recomputed {
            self.project_inputs();
        }
        self.pool.take(&[self.projections()[0]]);
        self.pool.take(&self.projections());
        self.pool.pass(&self.score_scratch(2));
        self.pool.give(&self.projections());
        self.pool.give(&self.attended());
        self.pool.give(&[self.projections()[0]]);
        self.pool.take(&[self.hidden()]);
        self.pool.pass(&scratch);
        self.pool.give(&self.projections());
        self.pool.give(&[self.hidden(), self.hidden()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;

    fn shape(activation_checkpointing: ActivationCheckpointing) -> StepShape {
        StepShape { sequences: 3, length: 100, together: 1, activation_checkpointing }
    }

    #[test]
    fn what_is_kept_matches_a_count_by_hand() {
        let config = preset("tiny").unwrap();
        // Input 128, middle 128, attention's output 128, log-sum-exp 4; 128 + 64 + 64 projections, gate and up 352 each.
        let (narrow, wide) = (388, 256 + 704);
        let kept = |activation_checkpointing| {
            ActivationMemory::fast(&config, &shape(activation_checkpointing), 2).kept
        };
        assert_eq!(kept(ActivationCheckpointing::None), 4 * 300 * (4 * (narrow + wide) + 128));
        assert_eq!(kept(ActivationCheckpointing::Every(1)), 4 * 300 * (4 * narrow + 128));
        assert_eq!(
            kept(ActivationCheckpointing::Every(2)),
            4 * 300 * (4 * narrow + 2 * wide + 128)
        );
        let bf16 = ActivationMemory::composed(
            &config,
            &shape(ActivationCheckpointing::None),
            Precision::Bf16,
        )
        .kept;
        assert_eq!(bf16, 300 * (2 * (4 * (narrow + wide) + 128) + 2 * 4 * 4));
    }

    #[test]
    fn micro_batches_handled_together_share_working_memory() {
        let config = preset("tiny").unwrap();
        let one = ActivationMemory::fast(&config, &shape(ActivationCheckpointing::None), 2);
        let three = ActivationMemory::fast(
            &config,
            &StepShape { together: 3, ..shape(ActivationCheckpointing::None) },
            2,
        );
        assert_eq!(three.kept, 3 * one.kept);
        assert_eq!(three.logits, one.logits);
        assert!(three.working <= one.working, "{three:?} and {one:?}");
    }
}
