//! `covey bench train`: full training steps of one model, that is forward, backward, clipping and
//! AdamW.

use std::fs;
use std::time::Instant;

use covey_model::config::{ModelConfig, Rope};
use covey_model::init::Initializer;
use covey_model::network::{Decoder, TokenBatch, Weights};
use covey_optim::inner::{AdamW, Schedule, clear, clip_scale, global_norm};
use serde_json::json;

use crate::cli::BenchTrainArgs;
use crate::commands::machine::config::resolve;
use crate::config::layers::{Layers, Purpose};
use crate::config::schema::Config;
use crate::system::device;
use crate::system::error::{Context, Result};
use crate::training::learner::Learner;
use crate::training::model_folder::flat_tensor;

/// Windows of a batch, and tokens of a window.
const SEQUENCES: usize = 8;
const LENGTH: usize = 256;

/// Measures the time and memory of training steps.
pub(super) fn figures(arguments: &BenchTrainArgs) -> Result<serde_json::Value> {
    device::use_threads(arguments.threads)?;
    let settings = arguments.set.iter().fold(Layers::new(), |layers, setting| layers.set(setting));
    let settings = settings.flag("bench", "train.batch_size", SEQUENCES.to_string());
    let config = resolve(settings, Purpose::Show)?.config;
    let mut contestant = Contestant::new(arguments.unsharded, &config)?;
    let (mut milliseconds, mut losses) = (Vec::new(), Vec::new());
    for step in 0..arguments.warmup + arguments.steps {
        let tokens = random_tokens(step as u64);
        let start = Instant::now();
        losses.push(contestant.step(&tokens)?);
        milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let timed = &milliseconds[arguments.warmup..];
    Ok(json!({
        "tokens_per_second": (SEQUENCES * LENGTH) as f64 / median(timed)? * 1e3,
        "steps_ms": timed,
        "peak_bytes": peak_memory(),
        "loss_first": losses.first(),
        "loss_last": losses.last(),
    }))
}

/// The model that all compared programs train: 8.0 M parameters.
fn benchmark_model() -> Result<ModelConfig> {
    let config = ModelConfig {
        vocab_size: 4096,
        hidden_size: 256,
        intermediate_size: 704,
        num_layers: 8,
        num_heads: 8,
        num_kv_heads: 4,
        head_dim: 32,
        max_positions: LENGTH,
        norm_epsilon: 1e-5,
        rope: Rope { theta: 500_000.0, scaling: None },
        tied: false,
    };
    Ok(config.checked()?)
}

/// The implementation that makes the steps.
enum Contestant {
    /// The learner of `covey train`.
    Learner(Box<Learner>),
    /// A plain loop over whole weights, as the baseline of the learner.
    Unsharded(Box<Unsharded>),
}

impl Contestant {
    fn new(unsharded: bool, config: &Config) -> Result<Self> {
        let model = benchmark_model()?;
        let initializer = Initializer::new(1, &model);
        if unsharded {
            return Ok(Self::Unsharded(Box::new(Unsharded::new(model, &initializer, config)?)));
        }
        let learner = Learner::open(&model, config, |spec, range| {
            let mut numbers = vec![0.0; range.len()];
            initializer.fill(spec, range.start as u64, &mut numbers);
            Ok(numbers)
        })?;
        Ok(Self::Learner(Box::new(learner)))
    }

    /// Makes one step and returns its mean loss.
    fn step(&mut self, tokens: &[u32]) -> Result<f64> {
        match self {
            Self::Learner(learner) => Ok(learner.step(tokens, LENGTH)?.loss),
            Self::Unsharded(unsharded) => unsharded.step(tokens),
        }
    }
}

/// Whole weights on the CPU.
struct Unsharded {
    decoder: Decoder,
    weights: Weights,
    gradients: Weights,
    optimizer: AdamW,
    schedule: Schedule,
    clip_norm: f64,
}

impl Unsharded {
    fn new(model: ModelConfig, initializer: &Initializer, config: &Config) -> Result<Self> {
        let device = device::open_one("cpu")?;
        let weights = model.parameters().map(|spec| flat_tensor(initializer.tensor(spec), &device));
        let decoder = Decoder::new(model, &device);
        let clip_norm = config.optim.clip_norm.unwrap_or(f64::INFINITY);
        let (schedule, optimizer) = (config.schedule(), AdamW::new(config.adamw()));
        Ok(Self { gradients: decoder.zeros(), decoder, weights, optimizer, schedule, clip_norm })
    }

    fn step(&mut self, tokens: &[u32]) -> Result<f64> {
        let batch = TokenBatch::new(tokens, SEQUENCES, self.decoder.config())?;
        let targets = batch.num_targets() as f64;
        clear(self.gradients.iter_mut());
        let loss =
            self.decoder.loss_backward(&self.weights, &batch, 1.0 / targets, &mut self.gradients);
        let scale = clip_scale(global_norm(self.gradients.iter())?, self.clip_norm);
        let updates = self.weights.iter_mut().zip(self.gradients.iter());
        let learning_rate = self.schedule.learning_rate(self.optimizer.steps());
        self.optimizer.step(updates, learning_rate, scale)?;
        Ok(loss / targets)
    }
}

/// Returns pseudo-random windows. The time of a step does not depend on the tokens.
fn random_tokens(step: u64) -> Vec<u32> {
    // xorshift64 must not start at zero.
    let mut state = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as u32 % 4096
    };
    (0..SEQUENCES * (LENGTH + 1)).map(|_| next()).collect()
}

fn median(values: &[f64]) -> Result<f64> {
    // The median ignores steps that other processes delayed.
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().context("at least one step must be timed")
}

/// The peak memory of this process in bytes.
fn peak_memory() -> Option<u64> {
    // The kernel records the peak; samples would miss short ones.
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
