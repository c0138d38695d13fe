//! Forward and backward pass on gathered units, compared with the whole network: any number of
//! members, with and without activation checkpointing.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use burn::tensor::{Device, Tensor, TensorData};
use covey_model::config::{ActivationCheckpointing, ModelConfig, Precision, Rope, preset};
use covey_model::init::Initializer;
use covey_model::network::{Decoder, ForwardBackward, TokenBatch, Unit, WeightSource, Weights};

fn config(tied: bool) -> ModelConfig {
    ModelConfig {
        vocab_size: 60,
        hidden_size: 24,
        intermediate_size: 40,
        num_layers: 3,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 6,
        max_positions: 64,
        norm_epsilon: 1e-5,
        rope: Rope { theta: 10_000.0, scaling: None },
        tied,
    }
    .checked()
    .unwrap()
}

fn weights(config: &ModelConfig, device: &Device) -> Weights {
    let initializer = Initializer::new(7, config);
    config.parameters().map(|spec| {
        let mut values = initializer.tensor(spec);
        values.iter_mut().enumerate().for_each(|(i, value)| *value += (i as f32).sin() / 10.0);
        let length = values.len();
        Tensor::from_data(TensorData::new(values, [length]), device)
    })
}

/// Micro-batches of different shapes.
fn batches(config: &ModelConfig, count: usize) -> Vec<TokenBatch> {
    (0..count).map(|index| batch(config, index)).collect()
}

fn batch(config: &ModelConfig, index: usize) -> TokenBatch {
    let (sequences, window) = (1 + index % 3, 20 + 7 * index);
    let tokens: Vec<u32> = (0..sequences * window)
        .map(|i| i + 1000 * index)
        .map(|i| ((i * 2_654_435_761) >> 7) as u32 % config.vocab_size as u32)
        .collect();
    TokenBatch::new(&tokens, sequences, config).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Prefetch(Unit),
    Gather(Unit),
    Reduce(Unit),
}

/// A weight source with the whole weights in memory, which all members get, and one sum of
/// gradients.
struct InMemory {
    weights: Weights,
    gradients: Weights,
    members: usize,
    precision: Precision,
    calls: Vec<Call>,
}

impl InMemory {
    fn new(decoder: &Decoder, members: usize) -> Self {
        let weights = weights(decoder.config(), decoder.device());
        Self {
            weights,
            gradients: decoder.zeros(),
            members,
            precision: Precision::Fp32,
            calls: Vec::new(),
        }
    }
}

/// The tensors of a unit, in canonical order.
fn of_unit(weights: &mut Weights, unit: Unit) -> Vec<&mut Tensor<1>> {
    let (layers, tied) = (weights.blocks.len(), weights.head.is_none());
    let range = match unit {
        Unit::Embedding => 0..1,
        Unit::Block(layer) => 1 + 9 * layer..10 + 9 * layer,
        Unit::Head => 1 + 9 * layers..9 * layers + if tied { 2 } else { 3 },
    };
    weights.iter_mut().skip(range.start).take(range.len()).collect()
}

impl WeightSource for InMemory {
    fn prefetch(&mut self, unit: Unit) {
        self.calls.push(Call::Prefetch(unit));
    }

    fn gather(&mut self, unit: Unit) -> Vec<Vec<Tensor<1>>> {
        self.calls.push(Call::Gather(unit));
        let dtype = self.precision.dtype();
        let list: Vec<_> = of_unit(&mut self.weights, unit)
            .into_iter()
            .map(|tensor| tensor.clone().cast(dtype))
            .collect();
        vec![list; self.members]
    }

    fn gradients(&mut self, unit: Unit) -> Vec<Vec<Tensor<1>>> {
        let sums: Vec<_> =
            of_unit(&mut self.gradients, unit).into_iter().map(Tensor::extract).collect();
        // The first member adds to the sums so far; the others start with zeros.
        let zeros: Vec<Vec<_>> =
            (1..self.members).map(|_| sums.iter().map(Tensor::zeros_like).collect()).collect();
        std::iter::once(sums).chain(zeros).collect()
    }

    fn reduce(&mut self, unit: Unit, gradients: Vec<Vec<Tensor<1>>>) {
        self.calls.push(Call::Reduce(unit));
        assert_eq!(gradients.len(), self.members);
        let sums = gradients
            .into_iter()
            .reduce(|sums, list| sums.into_iter().zip(list).map(|(a, b)| a + b).collect())
            .unwrap();
        for (place, sum) in of_unit(&mut self.gradients, unit).into_iter().zip(sums) {
            *place = sum;
        }
    }
}

fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.clone().into_data().try_into_vec().unwrap()
}

fn all_values(weights: &Weights) -> Vec<Vec<f32>> {
    weights.iter().map(values).collect()
}

/// Loss and gradients of the whole network, with the micro-batches in order.
fn whole(decoder: &Decoder, batches: &[TokenBatch], scale: f64) -> (f64, Vec<Vec<f32>>) {
    let weights = weights(decoder.config(), decoder.device());
    let mut gradients = decoder.zeros();
    let loss = batches
        .iter()
        .map(|batch| decoder.loss_backward(&weights, batch, scale, &mut gradients))
        .sum();
    (loss, all_values(&gradients))
}

fn forward_backward(
    config: &ModelConfig,
    members: usize,
    activation_checkpointing: ActivationCheckpointing,
) -> ForwardBackward {
    let decoder = |_| Decoder::new(config.clone(), &Device::flex());
    ForwardBackward::new((0..members).map(decoder).collect(), activation_checkpointing)
}

/// A constructor of decoders.
type Build = fn(ModelConfig, &Device) -> Decoder;

const ALL_CHECKPOINTING: [ActivationCheckpointing; 3] = [
    ActivationCheckpointing::None,
    ActivationCheckpointing::Every(1),
    ActivationCheckpointing::Every(2),
];

#[test]
fn gradients_of_all_members_add_up_to_those_of_the_whole_network() {
    for (tied, members) in [(false, 1), (true, 1), (false, 2), (true, 2), (false, 3), (true, 3)] {
        let config = config(tied);
        let decoder = Decoder::new(config.clone(), &Device::flex());
        let batches = batches(&config, 4);
        let (loss, gradients) = whole(&decoder, &batches, 1e-2);
        // The first member gets two batches, the second the rest, a third none.
        let shares = match members {
            1 => vec![batches],
            2 => vec![batches[..2].to_vec(), batches[2..].to_vec()],
            _ => vec![batches[..2].to_vec(), batches[2..].to_vec(), Vec::new()],
        };
        for activation_checkpointing in ALL_CHECKPOINTING {
            let mut weight_source = InMemory::new(&decoder, members);
            let got = forward_backward(&config, members, activation_checkpointing).loss_backward(
                &mut weight_source,
                &shares,
                1e-2,
            );
            assert!(
                (got / loss - 1.0).abs() <= 1e-5,
                "{members} members, {activation_checkpointing:?}: {got} and {loss}"
            );
            for (got, expected) in all_values(&weight_source.gradients).iter().zip(&gradients) {
                let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
                let close =
                    |(got, expected): (&f32, &f32)| (got - expected).abs() <= 1e-5 * largest;
                assert!(
                    got.iter().zip(expected).all(close),
                    "tied {tied}, {members} members, {activation_checkpointing:?}"
                );
            }
        }
    }
}

#[test]
fn one_member_with_one_micro_batch_per_call_has_the_bits_of_the_whole_network() {
    for tied in [false, true] {
        let config = config(tied);
        let decoder = Decoder::new(config.clone(), &Device::flex());
        let batches = batches(&config, 3);
        let expected = whole(&decoder, &batches, 1e-2);
        for activation_checkpointing in ALL_CHECKPOINTING {
            let forward_backward = forward_backward(&config, 1, activation_checkpointing);
            let mut weight_source = InMemory::new(&decoder, 1);
            let mut one = |batch: &TokenBatch| {
                forward_backward.loss_backward(&mut weight_source, &[vec![batch.clone()]], 1e-2)
            };
            let loss = batches.iter().map(&mut one).sum();
            assert!(
                (loss, all_values(&weight_source.gradients)) == expected,
                "tied {tied}, {activation_checkpointing:?}"
            );
        }
    }
}

#[test]
fn activation_checkpointing_changes_no_bits() {
    let config = ModelConfig { num_layers: 2, vocab_size: 500, ..preset("tiny").unwrap() };
    let device = Device::flex();
    let batches = [batches(&config, 2)];
    let run = |decoder: Decoder, precision, activation_checkpointing| {
        let mut weight_source = InMemory { precision, ..InMemory::new(&decoder, 1) };
        let loss = ForwardBackward::new(vec![decoder], activation_checkpointing).loss_backward(
            &mut weight_source,
            &batches,
            1e-2,
        );
        (loss, all_values(&weight_source.gradients))
    };
    let kernels: [(Build, Precision); 3] = [
        (Decoder::new, Precision::Fp32),
        (Decoder::composed, Precision::Fp32),
        (Decoder::composed, Precision::Bf16),
    ];
    for (build, precision) in kernels {
        let kept = run(build(config.clone(), &device), precision, ActivationCheckpointing::None);
        for activation_checkpointing in
            [ActivationCheckpointing::Every(1), ActivationCheckpointing::Every(2)]
        {
            assert!(
                run(build(config.clone(), &device), precision, activation_checkpointing) == kept,
                "{precision:?}, {activation_checkpointing:?}"
            );
        }
    }
}

#[test]
fn gradients_in_bf16_are_fp32_sums_close_to_those_in_fp32() {
    let config = config(true);
    let decoder = |_| Decoder::with_precision(config.clone(), &Device::flex(), Precision::Bf16);
    let forward_backward =
        ForwardBackward::new((0..2).map(decoder).collect(), ActivationCheckpointing::Every(2));
    let whole = Decoder::new(config.clone(), &Device::flex());
    let batches = batches(&config, 4);
    let (loss, gradients) = self::whole(&whole, &batches, 1e-2);
    let mut weight_source = InMemory { precision: Precision::Bf16, ..InMemory::new(&whole, 2) };
    let shares = [batches[..2].to_vec(), batches[2..].to_vec()];
    let got = forward_backward.loss_backward(&mut weight_source, &shares, 1e-2);
    assert!((got / loss - 1.0).abs() <= 1e-2, "{got} and {loss}");
    for (got, expected) in weight_source.gradients.iter().zip(&gradients) {
        assert_eq!(got.dtype(), Precision::Fp32.dtype().into());
        let difference =
            sum_of_squares(values(got).iter().zip(expected).map(|(got, expected)| got - expected));
        // A vector within 5 % of another in length and direction has a cosine above 0.998.
        assert!(
            difference <= 0.05f64.powi(2) * sum_of_squares(expected.iter().copied()),
            "{difference}"
        );
    }
}

fn sum_of_squares(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum()
}

#[test]
fn the_loss_without_gradients_is_that_of_the_whole_network() {
    for tied in [false, true] {
        let config = config(tied);
        let decoder = Decoder::new(config.clone(), &Device::flex());
        let mut weight_source = InMemory::new(&decoder, 3);
        let all = batches(&config, 3);
        let shares = vec![all[..1].to_vec(), Vec::new(), all[1..].to_vec()];
        let losses = forward_backward(&config, 3, ActivationCheckpointing::None)
            .loss(&mut weight_source, &shares);
        let expected = |batches: &[TokenBatch]| -> f64 {
            batches.iter().map(|batch| decoder.loss(&weight_source.weights, batch)).sum()
        };
        assert_eq!(losses, [expected(&all[..1]), 0.0, expected(&all[1..])]);
        assert!(weight_source.calls.iter().all(|call| !matches!(call, Call::Reduce(_))));
    }
}

#[test]
fn units_are_prefetched_gathered_once_per_direction_and_reduced() {
    use Call::{Gather, Prefetch, Reduce};
    use covey_model::network::Unit::{Block, Embedding, Head};
    let config = config(true);
    let decoder = Decoder::new(config.clone(), &Device::flex());
    let mut weight_source = InMemory::new(&decoder, 2);
    let shares = [batches(&config, 2), batches(&config, 1)];
    forward_backward(&config, 2, ActivationCheckpointing::Every(1)).loss_backward(
        &mut weight_source,
        &shares,
        1.0,
    );
    let forward = [
        Gather(Embedding),
        Prefetch(Block(0)),
        Gather(Block(0)),
        Prefetch(Block(1)),
        Gather(Block(1)),
    ];
    let last = [Prefetch(Block(2)), Gather(Block(2)), Prefetch(Head), Prefetch(Embedding)];
    let head = [Gather(Head), Gather(Embedding), Reduce(Head), Reduce(Embedding)];
    let backward = [
        Prefetch(Block(1)),
        Reduce(Block(2)),
        Gather(Block(1)),
        Prefetch(Block(0)),
        Reduce(Block(1)),
    ];
    let first = [Gather(Block(0)), Reduce(Block(0)), Reduce(Embedding)];
    let expected: Vec<Call> =
        forward.into_iter().chain(last).chain(head).chain(backward).chain(first).collect();
    assert_eq!(weight_source.calls, expected);
}
