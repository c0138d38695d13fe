//! `covey bench`: figures for the scripts that compare this program with others. Hidden from `--help`.

mod outer;

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use covey_model::{Decoder, Initializer, ModelConfig, Rope};
use serde_json::json;

use crate::cli::{BenchCommand, BenchTrainArgs};
use crate::config::{Layers, Purpose};
use crate::device;
use crate::learner::Learner;
use crate::model_folder::{ModelFolder, flat_tensor};

pub(super) fn run(command: &BenchCommand) -> anyhow::Result<()> {
    let figures = match command {
        BenchCommand::Train(arguments) => train(arguments)?,
        BenchCommand::Logits { model, tokens } => logits(model, tokens)?,
        BenchCommand::Outer(arguments) => return outer::run(arguments),
        BenchCommand::PseudoGradients { output, outer } => return outer::write_pseudo_gradients(outer, output),
    };
    writeln!(std::io::stdout().lock(), "{figures}")?;
    Ok(())
}

/// Windows of the benchmark and their length, in tokens.
const SEQUENCES: usize = 8;
const LENGTH: usize = 256;

/// The model that both programs train: 8.0 M parameters.
fn benchmark_model() -> anyhow::Result<ModelConfig> {
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

/// Times whole training steps: forward, backward, clipping and AdamW.
fn train(arguments: &BenchTrainArgs) -> anyhow::Result<serde_json::Value> {
    device::use_threads(arguments.threads)?;
    let device = device::open("cpu")?;
    let model = benchmark_model()?;
    let initializer = Initializer::new(1, &model);
    let weights = model.parameters().map(|spec| flat_tensor(initializer.tensor(spec), &device));
    let config = Layers::new().resolve(Purpose::Show)?.config;
    let mut learner = Learner::new(Decoder::new(model, &device), weights, &config);
    let mut milliseconds = Vec::new();
    let mut losses = Vec::new();
    for step in 0..arguments.warmup + arguments.steps {
        let tokens = random_tokens(step as u64);
        let start = Instant::now();
        losses.push(learner.step(&tokens, LENGTH)?.loss);
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

/// Pseudo-random windows; their tokens do not matter to the time.
fn random_tokens(step: u64) -> Vec<u32> {
    let mut state = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as u32 % 4096
    };
    (0..SEQUENCES * (LENGTH + 1)).map(|_| next()).collect()
}

fn median(values: &[f64]) -> anyhow::Result<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().context("at least one step must be timed")
}

/// The most memory that this process has held, in bytes.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// Logits of every position of one window, for comparison with other programs.
fn logits(model: &Path, tokens: &[u32]) -> anyhow::Result<serde_json::Value> {
    let device = device::open("cpu")?;
    let (decoder, weights) = ModelFolder::open(model, |_| {})?.load(&device)?;
    let logits = decoder.logits(&weights, tokens, 1)?.into_data();
    let logits: Vec<f32> = logits.try_into_vec().expect("logits are fp32");
    let rows: Vec<&[f32]> = logits.chunks(decoder.config().vocab_size).collect();
    Ok(json!({ "logits": rows }))
}
