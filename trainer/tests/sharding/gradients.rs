//! Gradients of a sharded model equal those of the whole model.

use std::sync::Arc;

use burn::tensor::{Device, FloatDType};
use covey::training::learner::ShardedWeights;
use covey::training::plan::plan;
use covey_model::config::{ActivationCheckpointing, ModelConfig};
use covey_model::init::Initializer;
use covey_model::network::{Decoder, ForwardBackward, TokenBatch};
use covey_optim::fsdp::{FsdpError, ShardedParameters};
use covey_optim::inner::AdamWConfig;

use crate::fixtures::{LENGTH, WINDOWS, tiny, tokens};

/// Gradients of the mean loss for each parameter, from one backward pass with whole weights.
fn whole(model: &ModelConfig, batch: &TokenBatch) -> Vec<Vec<f32>> {
    let device = Device::flex();
    let initializer = Initializer::new(7, model);
    let weights = model.parameters().map(|spec| {
        let numbers = initializer.tensor(spec);
        covey::training::model_folder::flat_tensor(numbers, &device)
    });
    let decoder = Decoder::new(model.clone(), &device);
    let mut gradients = decoder.zeros();
    decoder.loss_backward(&weights, batch, 1.0 / batch.num_targets() as f64, &mut gradients);
    gradients.iter().map(|gradient| gradient.clone().into_data().try_into_vec().unwrap()).collect()
}

/// The same gradients from a model that is sharded over `members` devices.
fn sharded(
    model: &ModelConfig,
    tokens: &[u32],
    members: usize,
    checkpointing: ActivationCheckpointing,
) -> Vec<Vec<f32>> {
    let initializer = Initializer::new(7, model);
    let specs: Vec<_> = model.parameters().iter().cloned().collect();
    let devices = vec![Device::flex(); members];
    let decoders = devices.iter().map(|device| Decoder::new(model.clone(), device)).collect();
    let plan = Arc::new(plan(model, members).unwrap());
    let fill = |parameter: usize, range: std::ops::Range<usize>| -> Result<Vec<f32>, FsdpError> {
        let mut numbers = vec![0.0; range.len()];
        initializer.fill(&specs[parameter], range.start as u64, &mut numbers);
        Ok(numbers)
    };
    let mut shards =
        ShardedParameters::new(plan, devices, FloatDType::F32, AdamWConfig::default(), fill)
            .unwrap();
    let windows: Vec<_> = tokens.chunks(LENGTH + 1).collect();
    let share = windows.len().div_ceil(members);
    let mut batches: Vec<Vec<TokenBatch>> = windows
        .chunks(share)
        .map(|own| vec![TokenBatch::new(&own.concat(), own.len(), model).unwrap()])
        .collect();
    batches.resize_with(members, Vec::new);
    let forward_backward = ForwardBackward::new(decoders, checkpointing);
    forward_backward.loss_backward(
        &mut ShardedWeights::new(&mut shards, model),
        &batches,
        1.0 / (windows.len() * LENGTH) as f64,
    );
    (0..specs.len()).map(|parameter| shards.gradient(parameter)).collect()
}

#[test]
fn sharded_gradients_equal_those_of_the_whole_model() {
    let tied = tiny();
    let untied = ModelConfig { tied: false, vocab_size: 700, ..tiny() };
    for model in [tied, untied] {
        let tokens = tokens(3, model.vocab_size);
        let whole = whole(&model, &TokenBatch::new(&tokens, WINDOWS, &model).unwrap());
        for members in [1, 2, 3, 4, 8] {
            for checkpointing in [ActivationCheckpointing::None, ActivationCheckpointing::Every(1)]
            {
                let sharded = sharded(&model, &tokens, members, checkpointing);
                for (parameter, (own, whole)) in sharded.iter().zip(&whole).enumerate() {
                    let largest = whole.iter().fold(0f32, |most, value| most.max(value.abs()));
                    let error =
                        own.iter().zip(whole).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                    assert!(
                        error <= 1e-5 * largest,
                        "{members} devices, parameter {parameter}: {error} of {largest}"
                    );
                }
            }
        }
    }
}
