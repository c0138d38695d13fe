//! What can be typed: commands, flags and their help.
//!
//! Types only. What they mean is up to [`commands`](crate::commands); keys of
//! the configuration are documented by [`config`](crate::config).

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use covey_comms::RunId;

/// Train Llama-style language models, from text to a Hugging Face folder.
#[derive(Debug, Parser)]
#[command(name = "covey", version, propagate_version = true, after_help = "Start here:\n  covey demo")]
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
    /// Take part in a run.
    Join(JoinArgs),
    /// Close the rounds of a run.
    Coordinate(CoordinateArgs),
    /// Show how a run stands: rounds, peers, bytes, lineage.
    Status(StatusArgs),
    /// Keep a bucket for others.
    #[command(subcommand)]
    Bucket(BucketCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measure, for the scripts of this project.
    #[command(subcommand, hide = true)]
    Bench(BenchCommand),
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Time training steps of the benchmark model; one JSON line.
    #[command(after_help = "Example:\n  covey bench train --steps 20 --threads 2")]
    Train(BenchTrainArgs),
    /// Logits of every position of one window; one JSON line.
    #[command(after_help = "Example:\n  covey bench logits runs/demo/export --tokens 1,2,3")]
    Logits {
        /// Run folder (its newest checkpoint), checkpoint or Hugging Face folder.
        #[arg(value_name = "MODEL")]
        model: PathBuf,
        /// Token ids of the window.
        #[arg(long, value_name = "IDS", value_delimiter = ',', required = true)]
        tokens: Vec<u32>,
    },
    /// Train with many peers in this process; a JSON line per measurement.
    #[command(after_help = "Example:\n  covey bench outer --data runs/demo/data --method covey --seed 1")]
    Outer(BenchOuterArgs),
    /// Write the pseudo-gradients of consecutive rounds of one peer into a safetensors file.
    #[command(
        after_help = "Example:\n  covey bench pseudo-gradients --data runs/demo/data --output rounds.safetensors"
    )]
    PseudoGradients {
        /// File to write.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// The training.
        #[command(flatten)]
        outer: BenchOuterArgs,
    },
}

/// A way of exchanging what peers learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OuterMethodName {
    /// AdamW on the gradients of all peers, averaged in every step.
    Adamw,
    /// fp32 mean with Nesterov momentum 0.9.
    Diloco,
    /// fp32 mean without momentum.
    DilocoPlain,
    /// Largest frequencies of a local momentum.
    Demo,
    /// SparseLoCo with the published arithmetic.
    Reference,
    /// SparseLoCo as Covey does it.
    Covey,
}

/// Flags of `covey bench outer`.
#[derive(Debug, Args)]
pub struct BenchOuterArgs {
    /// Prepared folder.
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// How peers exchange what they learned.
    #[arg(long, default_value = "covey")]
    pub method: OuterMethodName,
    /// Outer learning rate.
    #[arg(long, default_value_t = 1.0)]
    pub outer_learning_rate: f64,
    /// Peak of the inner learning rate.
    #[arg(long, default_value_t = 4e-3)]
    pub learning_rate: f64,
    /// Values sent of a chunk of 4096.
    #[arg(long, default_value_t = 64)]
    pub k: usize,
    /// What remains of the error feedback.
    #[arg(long, default_value_t = 0.95)]
    pub decay: f32,
    /// Send frequencies.
    #[arg(long)]
    pub dct: bool,
    /// Peers.
    #[arg(long, default_value_t = 4)]
    pub peers: u32,
    /// Rounds.
    #[arg(long, default_value_t = 64)]
    pub rounds: u64,
    /// Steps of a peer between two exchanges.
    #[arg(long, default_value_t = 15)]
    pub inner_steps: u64,
    /// Sequences per step and peer.
    #[arg(long, default_value_t = 4)]
    pub batch_size: usize,
    /// Tokens per sequence.
    #[arg(long, default_value_t = 128)]
    pub sequence_length: usize,
    /// Seed of weights and data order.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads of the CPU; every core without it.
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
}

/// Flags of `covey bench train`.
#[derive(Debug, Args)]
pub struct BenchTrainArgs {
    /// Steps to time.
    #[arg(long, default_value_t = 20)]
    pub steps: usize,
    /// Steps before them.
    #[arg(long, default_value_t = 3)]
    pub warmup: usize,
    /// Threads of the CPU; every core without it.
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
}

/// Flags of `covey demo`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey demo --steps 100 --output /tmp/demo")]
pub struct DemoArgs {
    /// Optimizer steps of each peer; fewer are quicker, more write better.
    #[arg(long, value_name = "STEPS")]
    pub steps: Option<u64>,
    /// Peers that train together, each a process of its own; a coordinator joins them.
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
#[command(after_help = "Example:\n  covey tokenizer train books/ --vocab-size 8192 --output tokenizer.json")]
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
#[command(after_help = "Example:\n  covey prepare books/ --tokenizer tokenizer.json --output prepared/books")]
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
    /// Folder of checkpoints and metrics.
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Where tensors live: cpu, cuda:N or wgpu:N.
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
#[command(after_help = "Examples:\n  covey train --preset tiny --data prepared/books --steps 2000\n  \
                  covey train run.toml --set optim.learning_rate=1e-3 --resume")]
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
    /// Where tensors live: cpu, cuda:N or wgpu:N.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// Threads of the CPU; every core without it.
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
}

/// Flags of `covey generate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey generate runs/run --prompt \"Call me\" --max-tokens 100 --top-p 0.9")]
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
    #[arg(long, value_name = "RATIO", default_value_t = 1.0, conflicts_with = "greedy", allow_negative_numbers = true)]
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

/// Flags of `covey init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  covey init s3://our-bucket/first-run --preset tiny --data prepared/books --steps 3000"
)]
pub struct InitArgs {
    /// URL of the bucket, such as s3://bucket/prefix, or a folder; keys come from the usual AWS_* variables.
    #[arg(value_name = "BUCKET")]
    pub bucket: String,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// File of the coordinator's secret key, made if it is not there; runs/NAME/coordinator.key without it.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Leave the data out of the bucket; every peer then brings its own copy along with `covey join --data`.
    #[arg(long)]
    pub without_data: bool,
}

/// What this machine says of itself to a run.
#[derive(Debug, Default, Args)]
pub struct OwnArgs {
    /// Folder of this machine's checkpoints and metrics; runs/NAME without it.
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Where tensors live: cpu, cuda:N or wgpu:N.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Threads of the CPU; every core without it.
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
    /// Any key of the configuration that the run does not fix, as often as needed.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Where a run is, and what this machine says of itself.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// URL or folder of the run's bucket.
    #[arg(value_name = "BUCKET")]
    pub bucket: String,
    /// The run that must be there, as `covey init` printed it.
    #[arg(long, value_name = "ID")]
    pub run: Option<RunId>,
    /// This machine.
    #[command(flatten)]
    pub own: OwnArgs,
}

/// Flags of `covey join`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey join s3://our-bucket/first-run --output runs/first-run")]
pub struct JoinArgs {
    /// The run.
    #[command(flatten)]
    pub place: RunArgs,
    /// URL of a bucket of your own for what this peer sends; others must be able to read it without keys.
    #[arg(long, value_name = "BUCKET")]
    pub own_bucket: Option<String>,
    /// Prepared folder to learn from, if the data is not in the bucket.
    #[arg(long, value_name = "FOLDER")]
    pub data: Vec<PathBuf>,
}

/// Flags of `covey coordinate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey coordinate s3://our-bucket/first-run")]
pub struct CoordinateArgs {
    /// The run.
    #[command(flatten)]
    pub place: RunArgs,
    /// File of the key that `covey init` made; runs/NAME/coordinator.key without it.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Flags of `covey status`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey status s3://our-bucket/first-run --json")]
pub struct StatusArgs {
    /// The run.
    #[command(flatten)]
    pub place: RunArgs,
    /// Newest rounds to list.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub rounds: usize,
    /// Everything, as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What to do about buckets.
#[derive(Debug, Subcommand)]
pub enum BucketCommand {
    /// Serve a folder as an S3 bucket, with a key for every peer that may write that peer's objects only.
    Serve(ServeArgs),
    /// Print the pair of keys of one peer.
    Key(KeyArgs),
}

/// Flags of `covey bucket serve`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey bucket serve shared/ --bucket lan --address 0.0.0.0:9000")]
pub struct ServeArgs {
    /// Folder that holds the objects; made if it is not there.
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Name of the bucket.
    #[arg(long, value_name = "NAME", default_value = "covey")]
    pub bucket: String,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    pub address: SocketAddr,
    /// File of the secret from which all keys follow, made if it is not there; FOLDER.secret without it.
    #[arg(long, value_name = "FILE")]
    pub secret: Option<PathBuf>,
    /// Let everybody read.
    #[arg(long)]
    pub public_read: bool,
    /// Largest object, such as 500MB or 5GB.
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = byte_size)]
    pub max_object_size: u64,
}

/// Flags of `covey bucket key`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey bucket key shared.secret --peer runs/first-run/peer.key")]
pub struct KeyArgs {
    /// File of the server's secret.
    #[arg(value_name = "SECRET")]
    pub secret: PathBuf,
    /// Id of the peer, or its key file; the administrator's pair without it.
    #[arg(long, value_name = "PEER")]
    pub peer: Option<String>,
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
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "must be a whole number, at least 1".to_owned())
}

/// Bytes from `5GB`, `500MB`, `64KB` or a plain number; thousands, as on the Hub.
fn byte_size(text: &str) -> Result<u64, String> {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000), ("B", 1)];
    let matching = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (count, unit) = matching.unwrap_or((text, 1));
    let bytes = count.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "write it as 5GB, 500MB, 64KB or a number of bytes".to_owned())
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
        assert!(["", "GB", "0", "-1", "1.5GB", "99999999999GB"].iter().all(|text| byte_size(text).is_err()));
    }
}
