//! Commands around the ledger of a run: who takes part, and whether it holds.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use covey_comms::primitives::Digest;

use super::distributed::RunArgs;

/// Where the ledger of a run is, and who pays for what is written to it.
#[derive(Clone, Debug, Args)]
pub struct LedgerFlags {
    /// Keeper of the ledger: `bucket` for the run's own, or evm:http://HOST:PORT/?contract=0x… for a contract.
    #[arg(long, value_name = "URL")]
    pub ledger: Option<String>,
    /// File with the secret key of the account that pays for entries in a contract; the variable COVEY_WALLET_KEY without it.
    #[arg(long, value_name = "FILE")]
    pub wallet: Option<PathBuf>,
}

/// A run and its ledger.
#[derive(Debug, Args)]
pub struct LedgerArgs {
    /// The run.
    #[command(flatten)]
    pub place: RunArgs,
    /// The ledger.
    #[command(flatten)]
    pub ledger: LedgerFlags,
}

/// What a peer has to do with the ledger.
#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// Take part from now on, or say where deltas are from now on; nobody has to approve.
    Register(RegisterArgs),
    /// Go on under another key; the old one can never be used again.
    Rotate(RotateArgs),
    /// Take part no longer.
    Leave(LeaveArgs),
    /// Show who takes part, who validates, and what was found.
    Scores(ScoresArgs),
}

/// Flags of `covey peer register`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  covey peer register s3://our-bucket/first-run --output runs/first-run\n  \
                  covey peer register s3://our-bucket/first-run --key peer.key --own-bucket s3://mine/deltas"
)]
pub struct RegisterArgs {
    /// The ledger.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// File of the peer's secret key, made if it is not there; OUTPUT/peer.key without it.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// URL of the bucket that holds this peer's deltas; the run's bucket without it.
    #[arg(long, value_name = "BUCKET")]
    pub own_bucket: Option<String>,
}

/// Flags of `covey peer rotate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  covey peer rotate s3://our-bucket/first-run --key peer.key --new-key next.key"
)]
pub struct RotateArgs {
    /// The ledger.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// File of the peer's secret key; OUTPUT/peer.key without it.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// File of the key to go on with, made if it is not there.
    #[arg(long, value_name = "FILE")]
    pub new_key: PathBuf,
}

/// Flags of `covey peer leave`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey peer leave s3://our-bucket/first-run --key peer.key")]
pub struct LeaveArgs {
    /// The ledger.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// File of the peer's secret key; OUTPUT/peer.key without it.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Get the stake back out of a contract, after having left.
    #[arg(long)]
    pub withdraw: bool,
}

/// Flags of `covey peer scores`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey peer scores s3://our-bucket/first-run --json")]
pub struct ScoresArgs {
    /// The ledger.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Newest rounds to list.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub rounds: usize,
    /// Everything, as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What to do about ledgers.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Read a ledger from its beginning, check every entry, and name what is wrong.
    Verify(VerifyLedgerArgs),
    /// Put the contract of a run onto a chain, and print its address.
    #[cfg(feature = "evm")]
    Deploy(DeployArgs),
}

/// Flags of `covey ledger verify`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey ledger verify s3://our-bucket/first-run --json")]
pub struct VerifyLedgerArgs {
    /// The ledger.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Head that an earlier verification printed; it must still be there.
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pub seen: Option<Digest>,
    /// Everything, as JSON.
    #[arg(long)]
    pub json: bool,
}

fn digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|_| {
        "must be 64 hexadecimal digits, as `covey ledger verify` prints them".to_owned()
    })
}

/// Flags of `covey ledger deploy`.
#[cfg(feature = "evm")]
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  covey ledger deploy s3://our-bucket/first-run --node http://127.0.0.1:8545 \\\n    \
                  --validator ID=0x… --stake 1000000000000000 --delay 86400"
)]
pub struct DeployArgs {
    /// The run.
    #[command(flatten)]
    pub place: RunArgs,
    /// Node of the chain.
    #[arg(long, value_name = "URL")]
    pub node: String,
    /// File with the secret key of the account that pays; the variable COVEY_WALLET_KEY without it.
    #[arg(long, value_name = "FILE")]
    pub wallet: Option<PathBuf>,
    /// Id and account of a validator of the run; once for each.
    #[arg(long = "validator", value_name = "ID=ACCOUNT", required = true)]
    pub validators: Vec<String>,
    /// What registering costs until one leaves, in wei.
    #[arg(long, value_name = "WEI", default_value_t = 0)]
    pub stake: u128,
    /// Seconds after leaving when the stake comes back.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    pub delay: u64,
}
