//! `covey bench`: measurements for the scripts of this project.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Subcommands of `covey bench`. All of them print JSON lines, which the scripts read.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Time training steps of the benchmark model; prints one JSON line.
    #[command(after_help = "Example:\n  covey bench train --steps 20 --threads 2")]
    Train(BenchTrainArgs),
    /// Compute the logits of every position of a window; prints one JSON line.
    #[command(after_help = "Example:\n  covey bench logits runs/demo/export --tokens 1,2,3")]
    Logits {
        /// Run folder (its latest checkpoint), checkpoint or Hugging Face folder.
        #[arg(value_name = "MODEL")]
        model: PathBuf,
        /// Token IDs of the window.
        #[arg(long, value_name = "IDS", value_delimiter = ',', required = true)]
        tokens: Vec<u32>,
    },
    /// Train with many peers in this process; prints a JSON line per measurement.
    #[command(
        after_help = "Example:\n  covey bench outer --data runs/demo/data --method covey --seed 1"
    )]
    Outer(BenchOuterArgs),
    /// Time the work of a validator for one round.
    #[command(after_help = "Example:\n  covey bench validate --data runs/demo/data --peers 4")]
    Validate(BenchOuterArgs),
    /// Write the pseudo-gradients of consecutive rounds of one peer to a safetensors file.
    #[command(after_help = "Example:\n  covey bench pseudo-gradients --data runs/demo/data \
                            --output rounds.safetensors")]
    PseudoGradients {
        /// File to write.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// The training.
        #[command(flatten)]
        outer: BenchOuterArgs,
    },
}

/// A method to exchange the updates of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OuterMethodName {
    /// AdamW on the gradients of all peers, averaged in every step.
    Adamw,
    /// DiLoCo: fp32 mean with Nesterov momentum 0.9.
    Diloco,
    /// DiLoCo without momentum.
    DilocoPlain,
    /// DeMo: largest DCT coefficients of a local momentum.
    Demo,
    /// SparseLoCo with the published arithmetic.
    Reference,
    /// SparseLoCo with the arithmetic of Covey.
    Covey,
}

/// Flags of `covey bench outer`.
#[derive(Debug, Args)]
pub struct BenchOuterArgs {
    /// Prepared folder.
    #[arg(long, value_name = "FOLDER")]
    pub data: PathBuf,
    /// Method of the exchange.
    #[arg(long, default_value = "covey")]
    pub method: OuterMethodName,
    /// Outer learning rate.
    #[arg(long, default_value_t = 1.0)]
    pub outer_learning_rate: f64,
    // From here on the defaults are those of the preset `tiny`, but with smaller batches and
    // shorter windows: a comparison trains many peers in one process.
    /// Peak inner learning rate.
    #[arg(long, default_value_t = 4e-3)]
    pub learning_rate: f64,
    /// Values sent per chunk of 4096.
    #[arg(long, default_value_t = 64)]
    pub k: usize,
    /// Decay of the error feedback per round.
    #[arg(long, default_value_t = 0.95)]
    pub decay: f32,
    /// Send DCT coefficients.
    #[arg(long)]
    pub dct: bool,
    /// Number of peers.
    #[arg(long, default_value_t = 4)]
    pub peers: u32,
    /// Number of rounds.
    #[arg(long, default_value_t = 64)]
    pub rounds: u64,
    /// Inner steps per round.
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
    /// CPU threads [default: all cores].
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
}

/// Flags of `covey bench train`.
#[derive(Debug, Args)]
pub struct BenchTrainArgs {
    /// Steps to time.
    #[arg(long, default_value_t = 20)]
    pub steps: usize,
    /// Steps before the timed ones.
    #[arg(long, default_value_t = 3)]
    pub warmup: usize,
    /// CPU threads [default: all cores].
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
    /// Use a plain loop over whole weights instead of the sharded learner of `covey train`.
    #[arg(long, conflicts_with = "set")]
    pub unsharded: bool,
    /// Override a configuration key (can be repeated).
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}
