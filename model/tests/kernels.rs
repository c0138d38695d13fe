//! Fast kernels compared with composed ones, and with themselves on other numbers of threads.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use burn::tensor::{Device, Tensor, TensorData};
use covey_model::config::{ModelConfig, Rope};
use covey_model::generation::Generator;
use covey_model::init::Initializer;
use covey_model::kernels::burn::BurnKernels;
use covey_model::network::{Decoder, TokenBatch, Weights};
use proptest::prelude::*;

fn config(
    vocab_size: usize,
    heads: usize,
    group: usize,
    head_dim: usize,
    tied: bool,
) -> ModelConfig {
    ModelConfig {
        vocab_size,
        hidden_size: 24,
        intermediate_size: 40,
        num_layers: 2,
        num_heads: heads * group,
        num_kv_heads: heads,
        head_dim,
        max_positions: 300,
        norm_epsilon: 1e-5,
        rope: Rope { theta: 10_000.0, scaling: None },
        tied,
    }
    .checked()
    .unwrap()
}

/// Weights that are large enough for sharp attention, and norms other than 1.
fn weights(config: &ModelConfig, device: &Device) -> Weights {
    let initializer = Initializer::new(7, config);
    config.parameters().map(|spec| {
        let mut values = initializer.tensor(spec);
        match spec.shape.len() {
            1 => values
                .iter_mut()
                .enumerate()
                .for_each(|(i, value)| *value += (i as f32).sin() / 3.0),
            _ => values.iter_mut().for_each(|value| *value *= 6.0),
        }
        let length = values.len();
        Tensor::from_data(TensorData::new(values, [length]), device)
    })
}

fn tokens(count: usize, vocab_size: usize) -> Vec<u32> {
    (0..count as u64).map(|i| ((i * 2_654_435_761) >> 5) as u32 % vocab_size as u32).collect()
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().into_data().try_into_vec().unwrap()
}

fn loss_and_gradients(decoder: &Decoder, sequences: usize, length: usize) -> (f64, Vec<Vec<f32>>) {
    let weights = weights(decoder.config(), decoder.device());
    let tokens = tokens(sequences * (length + 1), decoder.config().vocab_size);
    let batch = TokenBatch::new(&tokens, sequences, decoder.config()).unwrap();
    let mut gradients = decoder.zeros();
    let loss =
        decoder.loss_backward(&weights, &batch, 1.0 / batch.num_targets() as f64, &mut gradients);
    (loss, gradients.iter().map(values).collect())
}

fn assert_close(got: &[f32], expected: &[f32], what: &str) {
    let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
    for (got, expected) in got.iter().zip(expected) {
        assert!(
            (got - expected).abs() <= 2e-5 * largest,
            "{what}: {got} and {expected}, largest {largest}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn fast_and_composed_kernels_agree(
        heads in 1usize..4,
        group in 1usize..4,
        half_head in 1usize..9,
        sequences in 1usize..4,
        // A separate test covers a single token, as its queries and keys have no gradient.
        length in 2usize..200,
        tied: bool,
    ) {
        let device = Device::flex();
        let config = config(50, heads, group, 2 * half_head, tied);
        let fast = Decoder::new(config.clone(), &device);
        let composed = Decoder::composed(config.clone(), &device);
        let (fast_loss, fast) = loss_and_gradients(&fast, sequences, length);
        let (loss, composed) = loss_and_gradients(&composed, sequences, length);
        prop_assert!((fast_loss / loss - 1.0).abs() < 1e-6, "{fast_loss} and {loss}");
        for ((spec, fast), composed) in config.parameters().iter().zip(&fast).zip(&composed) {
            assert_close(fast, composed, &spec.name);
        }
    }

    #[test]
    fn attention_of_burn_agrees_with_explicit_scores(
        heads in 1usize..3,
        group in 1usize..4,
        half_head in 1usize..9,
        sequences in 1usize..4,
        length in 2usize..100,
    ) {
        let device = Device::flex();
        let config = config(50, heads, group, 2 * half_head, false);
        let kernels = Box::new(BurnKernels::with_burn_attention(device.clone()));
        let burn = Decoder::with_kernels(config.clone(), &device, kernels);
        let (burn_loss, burn) = loss_and_gradients(&burn, sequences, length);
        let composed = Decoder::composed(config.clone(), &device);
        let (loss, composed) = loss_and_gradients(&composed, sequences, length);
        prop_assert!((burn_loss / loss - 1.0).abs() < 1e-6, "{burn_loss} and {loss}");
        for ((spec, burn), composed) in config.parameters().iter().zip(&burn).zip(&composed) {
            assert_close(burn, composed, &spec.name);
        }
    }

    #[test]
    fn logits_do_not_depend_on_the_key_value_cache(split in 1usize..60, tied: bool) {
        let device = Device::flex();
        let config = config(50, 2, 2, 8, tied);
        let decoder = Decoder::new(config.clone(), &device);
        let weights = weights(&config, &device);
        let tokens = tokens(60, 50);
        let whole = values(&decoder.logits(&weights, &tokens, 1).unwrap());
        let mut generator = Generator::new(&decoder, &weights);
        generator.read(&tokens[..split]).unwrap();
        for position in split..60 {
            let logits = generator.read(&tokens[position..=position]).unwrap();
            assert_close(&logits, &whole[position * 50..(position + 1) * 50], "logits");
        }
    }
}

#[test]
fn queries_and_keys_of_a_single_token_have_no_gradient() {
    let device = Device::flex();
    for group in 1..4 {
        let config = config(50, 2, group, 4, false);
        let (fast_loss, fast) = loss_and_gradients(&Decoder::new(config.clone(), &device), 3, 1);
        let (loss, composed) =
            loss_and_gradients(&Decoder::composed(config.clone(), &device), 3, 1);
        assert!((fast_loss / loss - 1.0).abs() < 1e-6, "{fast_loss} and {loss}");
        for ((spec, fast), composed) in config.parameters().iter().zip(&fast).zip(&composed) {
            if spec.name.contains("q_proj") || spec.name.contains("k_proj") {
                // The only probability is 1 for all scores, so the gradient is a rounding error.
                assert!(
                    fast.iter().chain(composed).all(|value| value.abs() < 1e-7),
                    "{}",
                    spec.name
                );
            } else {
                assert_close(fast, composed, &spec.name);
            }
        }
    }
}

#[test]
fn kernels_agree_if_the_logits_exceed_the_memory_limit() {
    // 300 rows of 40,000 logits are more than `MAX_LOGITS`.
    let device = Device::flex();
    let config = config(40_000, 1, 2, 8, false);
    let (fast_loss, fast) = loss_and_gradients(&Decoder::new(config.clone(), &device), 2, 150);
    let (loss, composed) = loss_and_gradients(&Decoder::composed(config.clone(), &device), 2, 150);
    assert!((fast_loss / loss - 1.0).abs() < 1e-6, "{fast_loss} and {loss}");
    for ((spec, fast), composed) in config.parameters().iter().zip(&fast).zip(&composed) {
        assert_close(fast, composed, &spec.name);
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let shapes = [(config(200, 2, 2, 16, false), 3, 190), (config(4096, 2, 4, 32, true), 8, 256)];
    for (config, sequences, length) in shapes {
        let on_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                loss_and_gradients(
                    &Decoder::new(config.clone(), &Device::flex()),
                    sequences,
                    length,
                )
            })
        };
        let alone = on_threads(1);
        for threads in [2, 3, 7, 16] {
            assert!(on_threads(threads) == alone, "{threads} threads");
        }
    }
}

#[test]
fn gradients_of_micro_batches_add_up_to_those_of_the_batch() {
    let device = Device::flex();
    let config = config(50, 2, 2, 8, true);
    let decoder = Decoder::new(config.clone(), &device);
    let weights = weights(&config, &device);
    let tokens = tokens(6 * 41, 50);
    let gradients = |sequences: usize| {
        let mut gradients = decoder.zeros();
        for tokens in tokens.chunks(sequences * 41) {
            let batch = TokenBatch::new(tokens, sequences, &config).unwrap();
            decoder.loss_backward(&weights, &batch, 1.0 / 240.0, &mut gradients);
        }
        gradients
    };
    let (whole, parts) = (gradients(6), gradients(2));
    for (whole, parts) in whole.iter().zip(parts.iter()) {
        assert_close(&values(parts), &values(whole), "gradient");
    }
}
