//! Half-blocks of a benchmark model, forward and backward: fast and composed kernels in one run.

use burn::tensor::{Device, Tensor, TensorData};
use covey_model::config::{ModelConfig, Rope, RopeTable};
use covey_model::init::Initializer;
use covey_model::kernels::burn::BurnKernels;
use covey_model::kernels::cpu::CpuKernels;
use covey_model::kernels::{
    Backward, BatchShape, BlockContext, Head, HeadGradients, Kernels, Targets,
};
use covey_model::network::{Decoder, Weights};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const BATCH: BatchShape = BatchShape { sequences: 8, length: 256 };

fn config() -> ModelConfig {
    let config = ModelConfig {
        vocab_size: 4096,
        hidden_size: 256,
        intermediate_size: 704,
        num_layers: 1,
        num_heads: 8,
        num_kv_heads: 4,
        head_dim: 32,
        max_positions: BATCH.length,
        norm_epsilon: 1e-5,
        rope: Rope { theta: 500_000.0, scaling: None },
        tied: false,
    };
    config.checked().expect("the sizes are valid")
}

/// Arguments of the half-blocks.
struct Fixture {
    config: ModelConfig,
    rope: RopeTable,
    weights: Weights,
    gradients: Weights,
    input: Tensor<2>,
    targets: Vec<u32>,
}

impl Fixture {
    fn new(device: &Device) -> Self {
        let config = config();
        let initializer = Initializer::new(1, &config);
        let input =
            (0..BATCH.rows() * config.hidden_size).map(|i| (i as f32 * 0.7).sin()).collect();
        Self {
            rope: RopeTable::new(&config),
            weights: config.parameters().map(|spec| flat(initializer.tensor(spec), device)),
            gradients: Decoder::new(config.clone(), device).zeros(),
            input: flat(input, device).reshape([BATCH.rows(), config.hidden_size]),
            targets: (0..BATCH.rows() as u32).map(|i| i * 7 % 4096).collect(),
            config,
        }
    }

    fn attention(&mut self, kernels: &dyn Kernels) {
        let context = BlockContext { config: &self.config, rope: &self.rope, batch: BATCH };
        let (weights, into) =
            (&self.weights.blocks[0].attention, &mut self.gradients.blocks[0].attention);
        let (output, saved) = kernels.attention(context, weights, &self.input);
        let start = Backward { weights, input: self.input.clone(), saved, gradient: output };
        let gradient = kernels.attention_backward(context, start, into);
        kernels.recycle(gradient);
    }

    fn mlp(&mut self, kernels: &dyn Kernels) {
        let context = BlockContext { config: &self.config, rope: &self.rope, batch: BATCH };
        let (weights, into) = (&self.weights.blocks[0].mlp, &mut self.gradients.blocks[0].mlp);
        let (output, saved) = kernels.mlp(context, weights, &self.input);
        let start = Backward { weights, input: self.input.clone(), saved, gradient: output };
        let gradient = kernels.mlp_backward(context, start, into);
        kernels.recycle(gradient);
    }

    fn head(&mut self, kernels: &dyn Kernels) {
        let context = BlockContext { config: &self.config, rope: &self.rope, batch: BATCH };
        let projection = self.weights.head.as_ref().expect("the model has a separate head");
        let weights = Head { norm: &self.weights.norm, projection };
        let targets = Targets { tokens: &self.targets, scale: 1e-3 };
        let projection = self.gradients.head.as_mut().expect("the model has a separate head");
        let gradients = HeadGradients { norm: &mut self.gradients.norm, projection };
        let (_, gradient) =
            kernels.loss_backward(context, weights, self.input.clone(), targets, gradients);
        kernels.recycle(gradient);
    }
}

fn flat(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

/// Forward and backward pass of one half-block.
type HalfBlock = fn(&mut Fixture, &dyn Kernels);

fn half_blocks(criterion: &mut Criterion) {
    let device = Device::flex();
    let fast = CpuKernels::new(device.clone());
    let composed = BurnKernels::new(device.clone());
    let both: [(&str, &dyn Kernels); 2] = [("fast", &fast), ("composed", &composed)];
    let parts: [(&str, HalfBlock); 3] = [
        ("attention", Fixture::attention),
        ("feed-forward", Fixture::mlp),
        ("head", Fixture::head),
    ];
    for (name, run) in parts {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).throughput(Throughput::Elements(BATCH.rows() as u64));
        for (kernels_name, kernels) in both {
            let mut fixture = Fixture::new(&device);
            group.bench_function(kernels_name, |bencher| {
                bencher.iter(|| run(&mut fixture, kernels))
            });
        }
        group.finish();
    }
}

criterion_group!(benches, half_blocks);
criterion_main!(benches);
