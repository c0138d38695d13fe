//! Speed of AdamW and of the gradient norm, on a model of 8 million parameters.

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Tensor};
use covey_optim::inner::{AdamW, AdamWConfig, global_norm};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Lengths as in a small decoder: a few large matrices and many small norms.
fn lengths() -> Vec<usize> {
    (0..8).flat_map(|_| [1 << 20, 256, 256]).collect()
}

fn random() -> Vec<Tensor<1>> {
    let device = Device::flex();
    lengths()
        .into_iter()
        .map(|length| Tensor::random([length], Distribution::Default, &device))
        .collect()
}

fn adamw(criterion: &mut Criterion) {
    let (mut parameters, gradients) = (random(), random());
    let mut group = criterion.benchmark_group("optim");
    group.throughput(Throughput::Elements(lengths().iter().sum::<usize>() as u64));
    let mut optimizer = AdamW::new(AdamWConfig::default());
    group.bench_function("adamw", |bencher| {
        bencher.iter(|| {
            optimizer.step(parameters.iter_mut().zip(&gradients), 1e-4, 0.5).expect("tensors fit");
        });
    });
    group.bench_function("global_norm", |bencher| {
        bencher.iter(|| global_norm(black_box(&gradients)))
    });
    group.finish();
}

criterion_group!(benches, adamw);
criterion_main!(benches);
