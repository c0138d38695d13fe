//! The command line: flags and help, no behaviour.

mod bench;
mod cli;
mod distributed;
mod ledger;
mod plan;

pub use self::bench::{BenchCommand, BenchOuterArgs, BenchTrainArgs, OuterMethodName};
pub use self::cli::{
    Cli, Command, ConfigArgs, ConfigCommand, DemoArgs, DeviceArgs, EvalArgs, ExportArgs,
    ExportType, GenerateArgs, OwnArgs, PrepareArgs, TokenizerCommand, TokenizerTrainArgs,
    TrainArgs,
};
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
pub use self::plan::PlanArgs;
