//! The commands of `covey`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::bench::BenchCommand;
use super::config::ConfigCommand;
use super::data::{PrepareArgs, TokenizerCommand};
use super::distributed::{
    BucketCommand, IdArgs, InitArgs, JoinArgs, StatusArgs, ValidateArgs, VerifyArgs,
};
use super::ledger::{LedgerCommand, PeerCommand};
use super::log::LogArgs;
use super::model::{EvalArgs, ExportArgs, GenerateArgs, TrainArgs};
use super::plan::PlanArgs;

/// Train Llama-style language models, from text to a Hugging Face folder.
#[derive(Debug, Parser)]
#[command(
    name = "covey",
    version,
    propagate_version = true,
    after_help = "Start here:\n  covey demo"
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The commands, in the order in which a user needs them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a small model with two peers on built-in text, then generate; takes minutes.
    Demo(DemoArgs),
    /// Train tokenizers.
    #[command(subcommand)]
    Tokenizer(TokenizerCommand),
    /// Convert text to token shards for training.
    Prepare(PrepareArgs),
    /// Train a model, or resume training.
    Train(TrainArgs),
    /// Generate text with a model.
    Generate(GenerateArgs),
    /// Score a model on held-out text.
    Eval(EvalArgs),
    /// Export a model as a folder that `transformers` can load.
    Export(ExportArgs),
    /// Create a distributed run in a bucket or a folder.
    Init(InitArgs),
    /// Print the public ID of a key file.
    Id(IdArgs),
    /// Join a distributed run as a peer.
    Join(JoinArgs),
    /// Score the deltas of a run and close its rounds, as one of its validators.
    Validate(ValidateArgs),
    /// Recompute a run's verdicts and report the first mismatch.
    Verify(VerifyArgs),
    /// Show the state of a run: rounds, peers, bytes, lineage.
    Status(StatusArgs),
    /// Register a peer in a run's ledger, change its key, or list scores.
    #[command(subcommand)]
    Peer(PeerCommand),
    /// Verify a run's ledger.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Serve a bucket to other machines.
    #[command(subcommand)]
    Bucket(BucketCommand),
    /// List the devices of this machine, with the reason why a device cannot be used.
    #[command(after_help = "Example:\n  covey devices")]
    Devices,
    /// Estimate memory per device, time per step and bytes per round.
    Plan(PlanArgs),
    /// Show the configuration, its presets and its keys.
    #[command(subcommand)]
    Config(ConfigCommand),
    // Hidden: its output is for scripts, and may change at any time.
    /// Run a measurement for the scripts of this project.
    #[command(subcommand, hide = true)]
    Bench(BenchCommand),
}

/// Flags of `covey demo`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey demo --steps 100 --output /tmp/demo")]
pub struct DemoArgs {
    /// Optimizer steps of each peer; more steps take longer and give better text.
    #[arg(long, value_name = "STEPS")]
    pub steps: Option<u64>,
    /// Number of peers, each a process; a validator is started in addition.
    // At most 16: each peer is a process with a model on this machine.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(1..=16)
    )]
    pub peers: u32,
    /// Train in this process only, without peers and bucket.
    #[arg(long, conflicts_with = "peers")]
    pub alone: bool,
    /// Output directory for checkpoints, metrics and the exported model.
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// CPU threads of all peers together [default: all cores].
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,
    /// Seed of weights, data order and sampling.
    #[arg(long)]
    pub seed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_of_all_commands_are_consistent() {
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
    fn the_log_can_be_set_after_any_command() {
        for line in ["covey --log debug devices", "covey devices --log debug --log-format json"] {
            let cli = Cli::parse_from(line.split(' '));
            assert_eq!(cli.log.filter.as_deref(), Some("debug"), "{line}");
        }
        assert!(Cli::try_parse_from(["covey", "devices", "--log-format", "xml"]).is_err());
    }
}
