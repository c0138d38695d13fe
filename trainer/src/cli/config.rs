//! Flags of the configuration, and `covey config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The sources of the configuration, for every command that takes one.
#[derive(Debug, Default, Args)]
pub struct ConfigArgs {
    // Flags for the most common keys; `--set` reaches all the others.
    /// TOML file with the configuration.
    #[arg(value_name = "CONFIG")]
    pub file: Option<PathBuf>,
    /// Built-in shape and training defaults; `covey config presets` lists them.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Prepared folder of training data; can be repeated to mix folders evenly.
    #[arg(long, value_name = "FOLDER")]
    pub data: Vec<PathBuf>,
    /// Folder of a trained model to start from.
    #[arg(long, value_name = "FOLDER")]
    pub from: Option<PathBuf>,
    /// Optimizer steps of the whole run.
    #[arg(long, value_name = "STEPS")]
    pub steps: Option<u64>,
    /// Seed of the initial weights and of the data order.
    #[arg(long)]
    pub seed: Option<u64>,
    // Apart from the rest: `join` and `validate` take these, but no file, preset or steps.
    /// This machine.
    #[command(flatten)]
    pub own: OwnArgs,
}

/// Settings of this machine, for every command that takes a configuration or a run.
#[derive(Debug, Default, Args)]
pub struct OwnArgs {
    /// Output directory for checkpoints and metrics [default: runs/NAME].
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Devices: cpu, cpu:4 (four shards on the CPU), cuda:0-7, wgpu:0; `covey devices` lists them.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// CPU threads [default: all cores].
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
    /// Override a configuration key (can be repeated; takes precedence over all other sources).
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Subcommands of `covey config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every value with its origin, as a file that you can use.
    #[command(after_help = "Example:\n  covey config show --preset 150m > run.toml")]
    // Boxed: it is much larger than the other variants.
    Show(Box<ConfigArgs>),
    /// List the presets.
    #[command(after_help = "Example:\n  covey config presets")]
    Presets,
    /// List every key with its meaning and default.
    #[command(after_help = "Example:\n  covey config keys")]
    Keys,
}
