//! Commands that train, run, score and export a model.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::config::ConfigArgs;
use super::parsers::{at_least_one, byte_size};

/// Flags of `covey train`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  covey train --preset tiny --data prepared/books --steps 2000\n  \
                  covey train run.toml --set optim.learning_rate=1e-3 --resume"
)]
pub struct TrainArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Resume from the latest intact checkpoint in the output directory.
    #[arg(long)]
    pub resume: bool,
}

/// Device and threads, for commands that run a model.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// Device: cpu, cuda:0 or wgpu:0.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// CPU threads [default: all cores].
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
}

/// Flags of `covey generate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey generate runs/run --prompt \"Call me\" \
                        --max-tokens 100 --top-p 0.9")]
pub struct GenerateArgs {
    /// Run folder (its latest checkpoint), checkpoint or Hugging Face folder.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Text to continue; empty for a new text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prompt: String,
    /// Maximum number of tokens to generate.
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub max_tokens: usize,
    /// Divisor of the logits; 1 samples from the model's distribution.
    // Negative numbers are let through for a message about the range, not about an unknown flag.
    #[arg(
        long,
        value_name = "RATIO",
        default_value_t = 1.0,
        conflicts_with = "greedy",
        allow_negative_numbers = true
    )]
    pub temperature: f64,
    /// Sample from this many most likely tokens only.
    #[arg(long, value_name = "TOKENS", conflicts_with = "greedy")]
    pub top_k: Option<usize>,
    /// Sample from the most likely tokens with this total probability.
    #[arg(long, value_name = "SHARE", conflicts_with = "greedy", allow_negative_numbers = true)]
    pub top_p: Option<f64>,
    /// Always take the most likely token.
    #[arg(long)]
    pub greedy: bool,
    // A fixed default: the same command gives the same text.
    /// Seed of the sampling.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Device and threads.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Flags of `covey eval`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey eval runs/run --data prepared/books --windows 256")]
pub struct EvalArgs {
    /// Run folder (its latest checkpoint), checkpoint or Hugging Face folder.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Prepared folder with the held-out text.
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// Maximum number of windows to score [default: all].
    #[arg(long, value_name = "COUNT", value_parser = at_least_one)]
    pub windows: Option<usize>,
    /// Tokens per window [default: as trained, or the positions of the model].
    #[arg(long, value_name = "TOKENS", value_parser = at_least_one)]
    pub sequence_length: Option<usize>,
    // The score is a mean over tokens, so it does not depend on this.
    /// Windows per forward pass.
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = at_least_one)]
    pub batch_size: usize,
    /// Device and threads.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Flags of `covey export`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey export runs/run --output exported --dtype bf16")]
pub struct ExportArgs {
    /// Run folder (its latest checkpoint), checkpoint or Hugging Face folder.
    #[arg(value_name = "CHECKPOINT")]
    pub checkpoint: PathBuf,
    /// Folder to write.
    #[arg(long, value_name = "FOLDER")]
    pub output: PathBuf,
    // fp32 by default, since an export to bf16 loses bits that training has.
    /// Number format of the weights.
    #[arg(long, value_name = "TYPE", default_value = "fp32")]
    pub dtype: ExportType,
    /// Maximum size of a weight file, such as 500MB; larger models get several files with an index.
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = byte_size)]
    pub max_shard_size: u64,
}

/// Number formats of exported weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportType {
    /// 32-bit floats, as trained.
    Fp32,
    /// 16-bit floats with the range of 32-bit floats.
    Bf16,
    /// 16-bit IEEE floats.
    Fp16,
}
