//! `covey bench`: measurements for the scripts of this project.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
    #[command(
        after_help = "Example:\n  covey bench outer --data runs/demo/data --method covey --seed 1"
    )]
    Outer(BenchOuterArgs),
    /// Time what a validator does with the deltas of so many peers.
    #[command(after_help = "Example:\n  covey bench validate --data runs/demo/data --peers 4")]
    Validate(BenchOuterArgs),
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
    /// Use the plain loop over whole weights instead of what everybody trains with.
    #[arg(long, conflicts_with = "set")]
    pub unsharded: bool,
    /// Any key of the configuration, as often as needed.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}
