//! Commands of the ledger of a run: registration, keys, scores, verification.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use covey_comms::primitives::Digest;

use super::distributed::RunArgs;
use super::parsers::digest;

/// The ledger backend, and the account that pays for its entries.
#[derive(Clone, Debug, Args)]
pub struct LedgerFlags {
    /// Ledger backend: `bucket` for the run's bucket, or evm:http://HOST:PORT/?contract=0x… for a
    /// contract.
    #[arg(long, value_name = "URL")]
    pub ledger: Option<String>,
    // A file or a variable, never a flag: other users of the machine can list the arguments of a
    // process.
    /// Key file of the account that pays for entries in a contract
    /// [default: the variable COVEY_WALLET_KEY].
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

/// Subcommands of `covey peer`.
#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// Register this peer, or update the URL of its bucket. No approval is needed.
    Register(RegisterArgs),
    /// Replace the key of this peer. The old key cannot be used again.
    Rotate(RotateArgs),
    /// Remove this peer from the ledger.
    Leave(LeaveArgs),
    /// List peers, validators, scores and recorded faults.
    Scores(ScoresArgs),
}

/// Flags of `covey peer register`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  covey peer register s3://our-bucket/first-run \
                  --output runs/first-run\n  \
                  covey peer register s3://our-bucket/first-run --key peer.key \
                  --own-bucket s3://mine/deltas")]
pub struct RegisterArgs {
    /// The ledger.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Key file of the peer; created if missing [default: OUTPUT/peer.key].
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// URL of the bucket with the deltas of this peer [default: the run's bucket].
    #[arg(long, value_name = "BUCKET")]
    pub own_bucket: Option<String>,
}

/// Flags of `covey peer rotate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey peer rotate s3://our-bucket/first-run --key peer.key \
                        --new-key next.key")]
pub struct RotateArgs {
    /// The ledger.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Key file of the peer [default: OUTPUT/peer.key].
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    // No default: a key that is replaced by mistake cannot be restored.
    /// File of the new key; created if missing.
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
    /// Key file of the peer [default: OUTPUT/peer.key].
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Withdraw the stake from the contract, some time after leaving.
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
    /// Number of rounds to list, the latest first.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub rounds: usize,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Subcommands of `covey ledger`.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Read a ledger from its start, check every entry, and report faults.
    Verify(VerifyLedgerArgs),
    /// Deploy the contract of a run on a chain, and print its address.
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
    // A bucket can be replaced by an older state of itself, which is consistent.
    /// Head printed by an earlier verification; the ledger must still contain it.
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pub seen: Option<Digest>,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `covey ledger deploy`.
#[cfg(feature = "evm")]
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey ledger deploy s3://our-bucket/first-run \
                  --node http://127.0.0.1:8545 \\\n    \
                  --validator ID=0x… --stake 1000000000000000 --delay 86400")]
pub struct DeployArgs {
    /// The run.
    #[command(flatten)]
    pub place: RunArgs,
    /// URL of a node of the chain.
    #[arg(long, value_name = "URL")]
    pub node: String,
    /// Key file of the account that pays [default: the variable COVEY_WALLET_KEY].
    #[arg(long, value_name = "FILE")]
    pub wallet: Option<PathBuf>,
    /// ID and account of a validator of the run; once for each validator.
    #[arg(long = "validator", value_name = "ID=ACCOUNT", required = true)]
    pub validators: Vec<String>,
    /// Stake of a registered peer, in wei, until it leaves.
    #[arg(long, value_name = "WEI", default_value_t = 0)]
    pub stake: u128,
    /// Seconds from leaving until the stake can be withdrawn.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    pub delay: u64,
}
