//! Tokens per second of complete training steps: forward and backward pass, clipping and AdamW.

use std::time::Instant;

use anyhow::Context;
use covey::config::layers::{Layers, Purpose};
use covey::config::schema::{CheckpointedLayers, Config};
use covey::system::device::DeviceList;
use covey::training::learner::Learner;
use covey_model::config::{ModelConfig, Precision, preset};
use covey_model::cost::FlopsPerToken;
use covey_model::init::Initializer;
use serde_json::{Value, json};

/// The amount of training.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// Windows per step, in one micro-batch per device.
    pub(crate) sequences: usize,
    /// Steps before the timed ones.
    pub(crate) warmup: usize,
    /// Timed steps.
    pub(crate) steps: usize,
}

/// Trains the preset `name` on a single batch, which it can memorize.
pub(crate) fn report(
    devices: &DeviceList,
    precision: Precision,
    name: &str,
    amount: Amount,
) -> anyhow::Result<Value> {
    anyhow::ensure!(
        amount.steps > 0 && amount.sequences > 0,
        "the number of steps and of sequences must be at least 1"
    );
    let model = preset(name).with_context(|| format!("unknown preset `{name}`"))?;
    let config = config(devices, precision, &model, amount)?;
    let initializer = Initializer::new(1, &model);
    let mut learner = Learner::open(&model, &config, |spec, range| {
        let mut numbers = vec![0.0; range.len()];
        initializer.fill(spec, range.start as u64, &mut numbers);
        Ok(numbers)
    })?;
    let batch = random_tokens(amount.sequences * (model.max_positions + 1), model.vocab_size);
    let mut losses = Vec::new();
    for _ in 0..amount.warmup {
        losses.push(learner.step(&batch, model.max_positions)?.loss);
    }
    let start = Instant::now();
    for _ in 0..amount.steps {
        // Reading the loss waits for the device, so the time of a step is complete.
        losses.push(learner.step(&batch, model.max_positions)?.loss);
    }
    let seconds = start.elapsed().as_secs_f64();
    let tokens = amount.steps * amount.sequences * model.max_positions;
    Ok(json!({
        "tokens_per_second": tokens as f64 / seconds,
        "flops_per_token": FlopsPerToken::new(&model, model.max_positions).total(),
        "loss_first": losses.first(),
        "loss_last": losses.last(),
    }))
}

fn config(
    devices: &DeviceList,
    precision: Precision,
    model: &ModelConfig,
    amount: Amount,
) -> anyhow::Result<Config> {
    let mut config = Layers::new().resolve(Purpose::Show)?.config;
    config.run.device = devices.to_string();
    config.data.sequence_length = model.max_positions;
    config.train.batch_size = amount.sequences;
    config.train.micro_batch_size = amount.sequences.div_ceil(devices.members());
    config.train.precision = precision;
    config.memory.activation_checkpointing = CheckpointedLayers::None;
    Ok(config)
}

/// Pseudo-random tokens. The time of a step does not depend on their values.
fn random_tokens(count: usize, vocabulary: usize) -> Vec<u32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count).map(|_| next_token(&mut state, vocabulary)).collect()
}

/// The next token by xorshift (Marsaglia, 2003).
fn next_token(state: &mut u64, vocabulary: usize) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    ((*state >> 33) % vocabulary as u64) as u32
}
