//! Commands of distributed runs: create, join, validate, verify, and serve a bucket.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use covey_comms::primitives::{PeerId, RunId};

use super::config::{ConfigArgs, OwnArgs};
use super::ledger::LedgerFlags;
use super::parsers::{byte_size, peer_id};

/// Flags of `covey init`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey init s3://our-bucket/first-run --preset tiny \
                        --data prepared/books --steps 3000")]
pub struct InitArgs {
    /// Folder, or URL of the bucket such as s3://bucket/prefix; access keys come from the AWS_*
    /// variables.
    #[arg(value_name = "BUCKET")]
    pub bucket: String,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Key file of the creator, the first validator; created if missing
    /// [default: runs/NAME/validator.key].
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// ID of another validator, as `covey id` prints it; can be repeated.
    #[arg(long = "validator", value_name = "ID", value_parser = peer_id)]
    pub validators: Vec<PeerId>,
    // More than half, or two halves of the validators could decide a round differently.
    /// Number of validators that must agree, more than half of them [default: the smallest such].
    #[arg(long, value_name = "COUNT")]
    pub threshold: Option<u32>,
    /// Do not upload the dataset; each peer must supply its own copy with `covey join --data`.
    #[arg(long)]
    pub without_data: bool,
}

/// A run, and the settings of this machine.
#[derive(Debug, Args)]
// The same flags as in `OwnArgs`, but a run fixes some of the keys.
#[command(mut_arg(
    "set",
    |set| set.help("Override a configuration key that the run does not fix (can be repeated)")
))]
pub struct RunArgs {
    /// Folder or URL of the run's bucket.
    #[arg(value_name = "BUCKET")]
    pub bucket: String,
    // The owner of a bucket can replace the run in it; only the ID identifies a run.
    /// Expected ID of the run, as `covey init` prints it.
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
    // Other variables for the keys, since the run's bucket needs AWS_* at the same time.
    /// URL of a separate bucket for the deltas of this peer. Access keys come from OWN_AWS_*
    /// variables, or from AWS_*; other peers must be able to read the bucket without keys.
    #[arg(long, value_name = "BUCKET")]
    pub own_bucket: Option<String>,
    /// Prepared folder of training data, if the data is not in the bucket.
    #[arg(long, value_name = "FOLDER")]
    pub data: Vec<PathBuf>,
    /// The ledger in which this peer registers, if the run requires it.
    #[command(flatten)]
    pub ledger: LedgerFlags,
}

/// Flags of `covey id`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey id validator.key")]
pub struct IdArgs {
    /// Key file; created if missing.
    #[arg(value_name = "FILE")]
    pub key: PathBuf,
}

/// Flags of `covey validate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey validate s3://our-bucket/first-run")]
pub struct ValidateArgs {
    /// The run.
    #[command(flatten)]
    pub place: RunArgs,
    /// Key file of the validator, from `covey init` or `covey id`
    /// [default: runs/NAME/validator.key].
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Prepared folder for evaluations, if the data is not in the bucket.
    #[arg(long, value_name = "FOLDER")]
    pub data: Vec<PathBuf>,
    /// The ledger: only registered peers get a slot, and every verdict is recorded in it.
    #[command(flatten)]
    pub ledger: LedgerFlags,
}

/// Flags of `covey verify`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey verify s3://our-bucket/first-run --round 12")]
pub struct VerifyArgs {
    /// The run.
    #[command(flatten)]
    pub place: RunArgs,
    /// Verify this round only [default: all decided rounds].
    #[arg(long, value_name = "ROUND")]
    pub round: Option<u32>,
    /// Prepared folder for evaluations, if the data is not in the bucket.
    #[arg(long, value_name = "FOLDER")]
    pub data: Vec<PathBuf>,
    /// Skip the checks that run the network: losses and weights.
    #[arg(long)]
    pub quick: bool,
    /// Print one JSON object per round.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `covey status`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey status s3://our-bucket/first-run --json")]
pub struct StatusArgs {
    /// The run.
    #[command(flatten)]
    pub place: RunArgs,
    /// Number of rounds to list, the latest first.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub rounds: usize,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Subcommands of `covey bucket`.
#[derive(Debug, Subcommand)]
pub enum BucketCommand {
    /// Serve a folder as an S3 bucket. Each peer has a key that can write only its own objects.
    Serve(ServeArgs),
    /// Print the access key of a peer.
    Key(KeyArgs),
}

/// Flags of `covey bucket serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  covey bucket serve shared/ --bucket lan --address 0.0.0.0:9000"
)]
pub struct ServeArgs {
    /// Folder of the objects; created if missing.
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Name of the bucket.
    #[arg(long, value_name = "NAME", default_value = "covey")]
    pub bucket: String,
    /// Address to listen on.
    // The loopback address: a server is reachable from other machines only if the user says so.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    pub address: SocketAddr,
    /// Master secret from which all access keys are derived; created if missing
    /// [default: FOLDER.secret].
    #[arg(long, value_name = "FILE")]
    pub secret: Option<PathBuf>,
    /// ID of a validator, with a key that can also write manifests and checkpoints; can be
    /// repeated.
    #[arg(long, value_name = "ID")]
    pub validator: Vec<PeerId>,
    // Off by default, as in S3.
    /// Allow reading without a key.
    #[arg(long)]
    pub public_read: bool,
    /// Maximum size of an object, such as 500MB or 5GB.
    // 5 GB is the limit of S3 for one upload.
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = byte_size)]
    pub max_object_size: u64,
}

/// Flags of `covey bucket key`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey bucket key shared.secret --peer runs/first-run/peer.key")]
pub struct KeyArgs {
    /// File of the server's master secret.
    #[arg(value_name = "SECRET")]
    pub secret: PathBuf,
    /// ID or key file of the peer [default: the administrator].
    #[arg(long, value_name = "PEER")]
    pub peer: Option<String>,
}
