//! The command line: commands, flags and their help, as types of clap.
//!
//! This room holds no behaviour. [`commands`](crate::commands) runs the commands; the keys of the
//! configuration have their documentation in [`config`](crate::config). Start reading at
//! [`Command`].
//!
//! ```rust
//! use clap::Parser;
//! use covey::cli::{Cli, Command};
//!
//! let cli = Cli::parse_from(["covey", "join", "s3://bucket/run", "--output", "runs/first"]);
//! let Command::Join(arguments) = cli.command else { panic!("`join` is a command") };
//! assert_eq!(arguments.place.bucket, "s3://bucket/run");
//! ```

mod bench;
mod cli;
mod config;
mod data;
mod distributed;
mod ledger;
mod log;
mod model;
mod parsers;
mod plan;
mod reference;

pub use self::bench::{BenchCommand, BenchOuterArgs, BenchTrainArgs, OuterMethodName};
pub use self::cli::{Cli, Command, DemoArgs};
pub use self::config::{ConfigArgs, ConfigCommand, OwnArgs};
pub use self::data::{PrepareArgs, TokenizerCommand, TokenizerTrainArgs};
pub use self::distributed::{
    BucketCommand, IdArgs, InitArgs, JoinArgs, KeyArgs, RunArgs, ServeArgs, StatusArgs,
    ValidateArgs, VerifyArgs,
};
#[cfg(feature = "evm")]
pub use self::ledger::DeployArgs;
pub use self::ledger::{
    LeaveArgs, LedgerArgs, LedgerCommand, LedgerFlags, PeerCommand, RegisterArgs, RotateArgs,
    ScoresArgs, VerifyLedgerArgs,
};
pub use self::log::LogArgs;
pub use self::model::{DeviceArgs, EvalArgs, ExportArgs, ExportType, GenerateArgs, TrainArgs};
pub use self::plan::PlanArgs;
pub use self::reference::help_markdown;
