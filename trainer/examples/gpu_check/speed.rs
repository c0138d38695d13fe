//! Tokens per second of whole training steps: forward, backward, clipping and AdamW.

use std::time::Instant;

use anyhow::Context;
use covey::config::layers::{Layers, Purpose};
use covey::config::schema::{Config, RecomputeKind};
use covey::system::device::DeviceList;
use covey::training::learner::Learner;
use covey_model::config::{ModelConfig, Precision, preset};
use covey_model::cost::FlopsPerToken;
use covey_model::init::Initializer;
use serde_json::{Value, json};

/// How much is trained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// Windows of a step, all in one micro-batch per member.
    pub(crate) sequences: usize,
    /// Steps before the clock counts.
    pub(crate) warmup: usize,
    /// Timed steps.
    pub(crate) steps: usize,
}

/// Trains `name` on one batch that it may learn by heart.
pub(crate) fn report(
    devices: &DeviceList,
    precision: Precision,
    name: &str,
    amount: Amount,
) -> anyhow::Result<Value> {
    anyhow::ensure!(
        amount.steps > 0 && amount.sequences > 0,
        "0 steps or 0 sequences cannot be timed"
    );
    let model = preset(name).with_context(|| format!("there is no preset `{name}`"))?;
    let config = config(devices, precision, &model, amount)?;
    let initializer = Initializer::new(1, &model);
    let mut learner = Learner::open(&model, &config, |spec, range| {
        let mut numbers = vec![0.0; range.len()];
        initializer.fill(spec, range.start as u64, &mut numbers);
        Ok(numbers)
    })?;
    let tokens = random_tokens(amount.sequences * (model.max_positions + 1), model.vocab_size);
    let mut losses = Vec::new();
    for _ in 0..amount.warmup {
        losses.push(learner.step(&tokens, model.max_positions)?.loss);
    }
    let start = Instant::now();
    for _ in 0..amount.steps {
        // A step ends when its loss has been read, so nothing of it is left to the device.
        losses.push(learner.step(&tokens, model.max_positions)?.loss);
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(json!({
        "tokens_per_second": (amount.steps * amount.sequences * model.max_positions) as f64 / seconds,
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
    config.memory.recompute = RecomputeKind::None;
    Ok(config)
}

/// Pseudo-random tokens; which ones does not matter to the time.
fn random_tokens(count: usize, vocabulary: usize) -> Vec<u32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 33) % vocabulary as u64) as u32
    };
    (0..count).map(|_| next()).collect()
}
