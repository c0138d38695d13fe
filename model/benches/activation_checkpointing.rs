//! Forward and backward pass of `tiny`: without activation checkpointing, with every second block
//! and with every block recomputed, and without a weight source.

use burn::tensor::{Device, Tensor, TensorData};
use covey_model::config::{ActivationCheckpointing, ModelConfig, preset};
use covey_model::init::Initializer;
use covey_model::network::{Decoder, ForwardBackward, TokenBatch, Unit, WeightSource, Weights};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SEQUENCES: usize = 8;
const LENGTH: usize = 256;
const NUM_BLOCK_PARAMETERS: usize = 9;

/// A weight source of one member, without copies.
struct Whole {
    weights: Vec<Tensor<1>>,
    gradients: Vec<Tensor<1>>,
    num_layers: usize,
}

impl Whole {
    fn range(&self, unit: Unit) -> std::ops::Range<usize> {
        match unit {
            Unit::Embedding => 0..1,
            Unit::Block(layer) => block_start(layer)..block_start(layer + 1),
            Unit::Head => block_start(self.num_layers)..self.weights.len(),
        }
    }
}

/// Index of the first parameter of a block; the embedding comes first.
fn block_start(layer: usize) -> usize {
    1 + NUM_BLOCK_PARAMETERS * layer
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
        for (place, sum) in self.gradients[range].iter_mut().zip(gradients.into_iter().flatten()) {
            *place = sum;
        }
    }
}

fn weights(config: &ModelConfig, device: &Device) -> Weights {
    let initializer = Initializer::new(1, config);
    config.parameters().map(|spec| {
        let values = initializer.tensor(spec);
        let length = values.len();
        Tensor::from_data(TensorData::new(values, [length]), device)
    })
}

fn steps(criterion: &mut Criterion) {
    let device = Device::flex();
    let config = preset("tiny").expect("`tiny` is a preset");
    let tokens: Vec<u32> =
        (0..SEQUENCES * (LENGTH + 1)).map(|i| (i * 7919 % config.vocab_size) as u32).collect();
    let batch =
        TokenBatch::new(&tokens, SEQUENCES, &config).expect("the tokens are in the vocabulary");
    let scale = 1.0 / batch.num_targets() as f64;
    let mut group = criterion.benchmark_group("step of tiny");
    group.sample_size(20).throughput(Throughput::Elements(batch.num_targets() as u64));

    let decoder = Decoder::new(config.clone(), &device);
    let whole = weights(&config, &device);
    let mut gradients = decoder.zeros();
    group.bench_function("no weight source", |bencher| {
        bencher.iter(|| decoder.loss_backward(&whole, &batch, scale, &mut gradients));
    });
    let batches = [vec![batch.clone()]];
    let choices = [
        ("no recomputation", ActivationCheckpointing::None),
        ("every second block", ActivationCheckpointing::Every(2)),
        ("every block", ActivationCheckpointing::Every(1)),
    ];
    for (name, activation_checkpointing) in choices {
        let forward_backward = ForwardBackward::new(
            vec![Decoder::new(config.clone(), &device)],
            activation_checkpointing,
        );
        let gradients = decoder.zeros().iter().cloned().collect();
        let mut weight_source = Whole {
            weights: whole.iter().cloned().collect(),
            gradients,
            num_layers: config.num_layers,
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| forward_backward.loss_backward(&mut weight_source, &batches, scale));
        });
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
