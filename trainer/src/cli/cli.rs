//! What can be typed: commands, flags and their help.
//!
//! Types only. What they mean is up to [`commands`](crate::commands); keys of
//! the configuration are documented by [`config`](crate::config).

use crate::cli::BenchCommand;
use crate::cli::BucketCommand;
use crate::cli::IdArgs;
use crate::cli::InitArgs;
use crate::cli::JoinArgs;
use crate::cli::LedgerCommand;
use crate::cli::PeerCommand;
use crate::cli::PlanArgs;
use crate::cli::StatusArgs;
use crate::cli::ValidateArgs;
use crate::cli::VerifyArgs;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Train Llama-style language models, from text to a Hugging Face folder.
#[derive(Debug, Parser)]
#[command(
    name = "covey",
    version,
    propagate_version = true,
    after_help = "Start here:\n  covey demo"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let two peers train a small model on built-in text, within minutes, and let it write.
    Demo(DemoArgs),
    /// Make tokenizers.
    #[command(subcommand)]
    Tokenizer(TokenizerCommand),
    /// Turn text into shards of tokens to train on.
    Prepare(PrepareArgs),
    /// Train a model, or go on with one.
    Train(TrainArgs),
    /// Let a model continue a text.
    Generate(GenerateArgs),
    /// Score a model on held-out text.
    Eval(EvalArgs),
    /// Write a model as a folder that `transformers` loads.
    Export(ExportArgs),
    /// Begin a run that many train together, in a bucket or a folder.
    Init(InitArgs),
    /// Print who a secret key is: the id of a peer or a validator.
    Id(IdArgs),
    /// Take part in a run.
    Join(JoinArgs),
    /// Judge what peers learned, and close the rounds of a run together with its other validators.
    Validate(ValidateArgs),
    /// Hold a run's verdicts to everything that they follow from.
    Verify(VerifyArgs),
    /// Show how a run stands: rounds, peers, bytes, lineage.
    Status(StatusArgs),
    /// Register in a run's ledger, change keys, leave, and see how peers stand.
    #[command(subcommand)]
    Peer(PeerCommand),
    /// Check a run's ledger.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Keep a bucket for others.
    #[command(subcommand)]
    Bucket(BucketCommand),
    /// List what can be computed on, and why the rest cannot.
    #[command(after_help = "Example:\n  covey devices")]
    Devices,
    /// Say what a configuration needs: memory of every device, time of a step, bytes of a round.
    Plan(PlanArgs),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measure, for the scripts of this project.
    #[command(subcommand, hide = true)]
    Bench(BenchCommand),
}

/// Flags of `covey demo`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey demo --steps 100 --output /tmp/demo")]
pub struct DemoArgs {
    /// Optimizer steps of each peer; fewer are quicker, more write better.
    #[arg(long, value_name = "STEPS")]
    pub steps: Option<u64>,
    /// Peers that train together, each a process of its own; a validator joins them.
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub peers: u32,
    /// Train in this process only, without peers and bucket.
    #[arg(long, conflicts_with = "peers")]
    pub alone: bool,
    /// Folder for checkpoints, metrics and the exported model.
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Threads of the CPU over all peers; every core without it.
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
    /// Seed of weights, data order and sample.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// What to do about tokenizers.
#[derive(Debug, Subcommand)]
pub enum TokenizerCommand {
    /// Learn a byte-level BPE tokenizer from text.
    Train(TokenizerTrainArgs),
}

/// Flags of `covey tokenizer train`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  covey tokenizer train books/ --vocab-size 8192 --output tokenizer.json"
)]
pub struct TokenizerTrainArgs {
    /// Files and folders of .txt, .jsonl, .jsonl.zst and .parquet.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Number of tokens to end up with, special tokens included.
    #[arg(long, value_name = "TOKENS", default_value_t = 8192)]
    pub vocab_size: usize,
    /// File to write.
    #[arg(long, value_name = "FILE", default_value = "tokenizer.json")]
    pub output: PathBuf,
    /// Field or column that holds the text.
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub text_field: String,
}

/// Flags of `covey prepare`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  covey prepare books/ --tokenizer tokenizer.json --output prepared/books"
)]
pub struct PrepareArgs {
    /// Files and folders of .txt, .jsonl, .jsonl.zst and .parquet.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Any `tokenizer.json`.
    #[arg(long, value_name = "FILE")]
    pub tokenizer: PathBuf,
    /// Folder to write; one that was interrupted is completed.
    #[arg(long, value_name = "FOLDER")]
    pub output: PathBuf,
    /// Share of the documents that is kept out of training, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, allow_negative_numbers = true)]
    pub held_out: f64,
    /// Tokens per shard.
    #[arg(long, value_name = "TOKENS", default_value_t = 16_777_216)]
    pub shard_tokens: usize,
    /// Field or column that holds the text.
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub text_field: String,
    /// Threads of the CPU; every core without it.
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
}

/// Where the configuration comes from, for every command that takes one.
#[derive(Debug, Default, Args)]
pub struct ConfigArgs {
    /// TOML file with the configuration.
    #[arg(value_name = "CONFIG")]
    pub file: Option<PathBuf>,
    /// Built-in shape and training defaults; `covey config presets` lists them.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Prepared folder to learn from; repeat it to mix several evenly.
    #[arg(long, value_name = "FOLDER")]
    pub data: Vec<PathBuf>,
    /// Folder of a trained model to start from.
    #[arg(long, value_name = "FOLDER")]
    pub from: Option<PathBuf>,
    /// Optimizer steps of the whole run.
    #[arg(long, value_name = "STEPS")]
    pub steps: Option<u64>,
    /// Seed of weights and data order.
    #[arg(long)]
    pub seed: Option<u64>,
    /// This machine.
    #[command(flatten)]
    pub own: OwnArgs,
}

/// What this machine says of itself, for every command that takes a configuration or a run.
#[derive(Debug, Default, Args)]
pub struct OwnArgs {
    /// Folder of checkpoints and metrics.
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Where tensors live: cpu, cpu:4 for four members on it, cuda:0-7, wgpu:0; `covey devices` lists them.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Threads of the CPU; every core without it.
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
    /// Any key of the configuration, as often as needed; wins over everything else.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

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
    /// Go on from the newest intact checkpoint of the output folder.
    #[arg(long)]
    pub resume: bool,
}

/// Which device and how many threads, for commands that run a model.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// Where tensors live: cpu, cuda:0 or wgpu:0.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// Threads of the CPU; every core without it.
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
}

/// Flags of `covey generate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  covey generate runs/run --prompt \"Call me\" --max-tokens 100 --top-p 0.9"
)]
pub struct GenerateArgs {
    /// Run folder (its newest checkpoint), checkpoint or Hugging Face folder.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Text to continue; without one the model starts afresh.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prompt: String,
    /// Tokens to write at most.
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub max_tokens: usize,
    /// How far to stray from the likeliest token; 1 samples as learned.
    #[arg(
        long,
        value_name = "RATIO",
        default_value_t = 1.0,
        conflicts_with = "greedy",
        allow_negative_numbers = true
    )]
    pub temperature: f64,
    /// Sample from this many likeliest tokens only.
    #[arg(long, value_name = "TOKENS", conflicts_with = "greedy")]
    pub top_k: Option<usize>,
    /// Sample from the likeliest tokens that make up this probability.
    #[arg(long, value_name = "SHARE", conflicts_with = "greedy", allow_negative_numbers = true)]
    pub top_p: Option<f64>,
    /// Always take the likeliest token.
    #[arg(long)]
    pub greedy: bool,
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
    /// Run folder (its newest checkpoint), checkpoint or Hugging Face folder.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Prepared folder whose held-out part is scored.
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// Windows to score at most; all without it.
    #[arg(long, value_name = "COUNT", value_parser = at_least_one)]
    pub windows: Option<usize>,
    /// Tokens of one window; as trained without it, or as long as the positions reach.
    #[arg(long, value_name = "TOKENS", value_parser = at_least_one)]
    pub sequence_length: Option<usize>,
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
    /// Run folder (its newest checkpoint), checkpoint or Hugging Face folder.
    #[arg(value_name = "CHECKPOINT")]
    pub checkpoint: PathBuf,
    /// Folder to write.
    #[arg(long, value_name = "FOLDER")]
    pub output: PathBuf,
    /// Numbers to write.
    #[arg(long, value_name = "TYPE", default_value = "fp32")]
    pub dtype: ExportType,
    /// Largest weight file, such as 500MB or 5GB; more go into several files with an index.
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = byte_size)]
    pub max_shard_size: u64,
}

/// Numbers that weights can be exported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportType {
    /// 32-bit floats, as trained.
    Fp32,
    /// 16-bit floats with the range of 32-bit ones.
    Bf16,
    /// 16-bit IEEE floats.
    Fp16,
}

/// What to look at.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every value, ready to be used as a file, and where it came from.
    #[command(after_help = "Example:\n  covey config show --preset 150m > run.toml")]
    Show(Box<ConfigArgs>),
    /// List the presets.
    #[command(after_help = "Example:\n  covey config presets")]
    Presets,
    /// List every key with its meaning and default.
    #[command(after_help = "Example:\n  covey config keys")]
    Keys,
}

/// A count that must not be 0.
fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| "must be a whole number, at least 1".to_owned())
}

/// Bytes from `5GB`, `500MB`, `64KB` or a plain number; thousands, as on the Hub.
pub(super) fn byte_size(text: &str) -> Result<u64, String> {
    let units = [
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("KB", 1_000),
        ("B", 1),
    ];
    let matching = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (count, unit) = matching.unwrap_or((text, 1));
    let bytes = count.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "write it as 5GB, 500MB, 64KB or a number of bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn no_command_contradicts_itself() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_ends_with_an_example() {
        fn check(command: &clap::Command) {
            let leaf = command.get_subcommands().next().is_none();
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!leaf || example.starts_with("Example"), "{}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn sizes_are_counted_in_thousands() {
        assert_eq!(byte_size("5GB"), Ok(5_000_000_000));
        assert_eq!(byte_size("64 KB"), Ok(64_000));
        assert_eq!(byte_size("1234"), Ok(1234));
        assert!(
            ["", "GB", "0", "-1", "1.5GB", "99999999999GB"]
                .iter()
                .all(|text| byte_size(text).is_err())
        );
    }
}
