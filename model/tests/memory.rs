//! Memory of a step as the allocator counts it, compared with the estimate.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]
#![allow(
    unsafe_code,
    reason = "the trait of allocators is unsafe; this one only forwards to that of the system"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use burn::tensor::{Device, Tensor};
use covey_model::config::{ActivationCheckpointing, ModelConfig, Precision, preset};
use covey_model::cost::{ActivationMemory, StepShape};
use covey_model::init::Initializer;
use covey_model::kernels::burn::BurnKernels;
use covey_model::network::{Decoder, ForwardBackward, TokenBatch, Unit, WeightSource, Weights};

/// The allocator of the system, with a count of bytes in use and their peak.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn count(taken: usize) {
    PEAK.fetch_max(IN_USE.fetch_add(taken, SeqCst) + taken, SeqCst);
}

// SAFETY: each call is forwarded unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), SeqCst);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Weight source of one member, without copies.
struct Whole {
    weights: Vec<Tensor<1>>,
    gradients: Vec<Tensor<1>>,
    num_layers: usize,
}

impl Whole {
    fn new(config: &ModelConfig, device: &Device) -> Self {
        let initializer = Initializer::new(3, config);
        let weights: Weights = config.parameters().map(|spec| {
            let values = initializer.tensor(spec);
            Tensor::<1>::from_floats(values.as_slice(), device)
        });
        let weights: Vec<_> = weights.iter().cloned().collect();
        Self {
            gradients: weights.iter().map(Tensor::zeros_like).collect(),
            weights,
            num_layers: config.num_layers,
        }
    }

    fn range(&self, unit: Unit) -> std::ops::Range<usize> {
        match unit {
            Unit::Embedding => 0..1,
            Unit::Block(layer) => 1 + 9 * layer..10 + 9 * layer,
            Unit::Head => 1 + 9 * self.num_layers..self.weights.len(),
        }
    }
}

impl WeightSource for Whole {
    fn prefetch(&mut self, _: Unit) {}

    fn gather(&mut self, unit: Unit) -> Vec<Vec<Tensor<1>>> {
        vec![self.weights[self.range(unit)].to_vec()]
    }

    fn gradients(&mut self, unit: Unit) -> Vec<Vec<Tensor<1>>> {
        let range = self.range(unit);
        vec![self.gradients[range].iter_mut().map(Tensor::extract).collect()]
    }

    fn reduce(&mut self, unit: Unit, gradients: Vec<Vec<Tensor<1>>>) {
        let range = self.range(unit);
        self.gradients[range].clone_from_slice(&gradients[0]);
    }
}

/// Peak of the bytes in use during one step, minus the bytes in use before it.
fn peak_of_step(decoder: Decoder, shape: &StepShape) -> usize {
    let config = decoder.config().clone();
    let mut weight_source = Whole::new(&config, decoder.device());
    let forward_backward = ForwardBackward::new(vec![decoder], shape.activation_checkpointing);
    let window = shape.length + 1;
    let tokens: Vec<u32> =
        (0..shape.sequences * window).map(|i| (i * 7919 % config.vocab_size) as u32).collect();
    let batches = [vec![
        TokenBatch::new(&tokens, shape.sequences, &config).unwrap();
        shape.micro_batches_per_gather
    ]];
    let before = IN_USE.load(SeqCst);
    PEAK.store(before, SeqCst);
    forward_backward.loss_backward(&mut weight_source, &batches, 1e-3);
    PEAK.load(SeqCst) - before
}

/// Threads of a step. With many more than cores, not all would hold scratch at the same time.
const THREADS: usize = 2;

/// A single test, because the allocator counts for the whole process.
#[test]
fn a_step_allocates_the_estimated_memory() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap();
    pool.install(compare_estimates);
}

fn compare_estimates() {
    let tiny = preset("tiny").unwrap();
    let wide = ModelConfig {
        hidden_size: 256,
        intermediate_size: 704,
        num_layers: 6,
        num_heads: 8,
        num_kv_heads: 2,
        vocab_size: 1000,
        tied: false,
        ..tiny.clone()
    };
    // The first step also allocates memory that threads and libraries keep.
    let device = Device::flex();
    peak_of_step(
        Decoder::new(tiny.clone(), &device),
        &StepShape {
            sequences: 1,
            length: 256,
            micro_batches_per_gather: 1,
            activation_checkpointing: ActivationCheckpointing::None,
        },
    );
    for (name, config, sequences) in [("tiny", tiny, 8), ("wide", wide.checked().unwrap(), 4)] {
        for activation_checkpointing in [
            ActivationCheckpointing::None,
            ActivationCheckpointing::Every(1),
            ActivationCheckpointing::Every(2),
        ] {
            for micro_batches_per_gather in [1, 2] {
                let shape = StepShape {
                    sequences,
                    length: 256,
                    micro_batches_per_gather,
                    activation_checkpointing,
                };
                let estimate = ActivationMemory::fast(&config, &shape, THREADS);
                let measured = peak_of_step(Decoder::new(config.clone(), &device), &shape);
                let ratio = measured as f64 / estimate.total() as f64;
                assert!(
                    (ratio - 1.0).abs() <= 0.05,
                    "{name}, {shape:?}: {ratio:.4} of {estimate:?}"
                );

                let estimate = ActivationMemory::composed(&config, &shape, Precision::Fp32);
                let kernels = Box::new(BurnKernels::with_burn_attention(device.clone()));
                let measured =
                    peak_of_step(Decoder::with_kernels(config.clone(), &device, kernels), &shape);
                let ratio = measured as f64 / estimate.total() as f64;
                assert!(
                    (0.85..1.01).contains(&ratio),
                    "{name}, composed, {shape:?}: {ratio:.4} of {estimate:?}"
                );
            }
        }
    }
}
