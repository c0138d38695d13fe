//! Commands around a run that many train together: founding, taking part, closing rounds, keeping the bucket.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use covey_comms::primitives::{PeerId, RunId};

use super::cli::{ConfigArgs, OwnArgs, byte_size};
use super::ledger::LedgerFlags;

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
    /// File of the secret key of the founder, who is the first validator, made if it is not there; runs/NAME/validator.key
    /// without it.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Id of another validator, as `covey id` prints it; as often as needed.
    #[arg(long = "validator", value_name = "ID", value_parser = peer_id)]
    pub validators: Vec<PeerId>,
    /// How many validators must agree, more than half of them; the least such number without it.
    #[arg(long, value_name = "COUNT")]
    pub threshold: Option<u32>,
    /// Leave the data out of the bucket; every peer then brings its own copy along with `covey join --data`.
    #[arg(long)]
    pub without_data: bool,
}

/// Where a run is, and what this machine says of itself.
#[derive(Debug, Args)]
#[command(
    mut_arg("output", |output| output.help("Folder of this machine's checkpoints and metrics; runs/NAME without it")),
    mut_arg("set", |set| set.help("Any key of the configuration that the run does not fix, as often as needed")),
)]
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
    /// URL of a bucket of your own for what this peer sends, with keys from OWN_AWS_* variables or else AWS_*; others must
    /// be able to read it without keys.
    #[arg(long, value_name = "BUCKET")]
    pub own_bucket: Option<String>,
    /// Prepared folder to learn from, if the data is not in the bucket.
    #[arg(long, value_name = "FOLDER")]
    pub data: Vec<PathBuf>,
    /// The ledger that this peer registers in, if the run's validators ask for that.
    #[command(flatten)]
    pub ledger: LedgerFlags,
}

/// Flags of `covey id`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  covey id validator.key")]
pub struct IdArgs {
    /// File of the secret key, made if it is not there.
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
    /// File of the validator's secret key, as `covey init` or `covey id` made it; runs/NAME/validator.key without it.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Prepared folder to measure on, if the data is not in the bucket.
    #[arg(long, value_name = "FOLDER")]
    pub data: Vec<PathBuf>,
    /// The ledger: only those who are registered in it get seats, and it is told of every verdict.
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
    /// Only this round; every round that was decided without it.
    #[arg(long, value_name = "ROUND")]
    pub round: Option<u32>,
    /// Prepared folder to measure on, if the data is not in the bucket.
    #[arg(long, value_name = "FOLDER")]
    pub data: Vec<PathBuf>,
    /// Leave out what takes the network: losses and weights.
    #[arg(long)]
    pub quick: bool,
    /// One JSON object a round.
    #[arg(long)]
    pub json: bool,
}

fn peer_id(text: &str) -> Result<PeerId, String> {
    text.parse().map_err(|_| "must be 64 hexadecimal digits, as `covey id` prints them".to_owned())
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
#[command(
    after_help = "Example:\n  covey bucket serve shared/ --bucket lan --address 0.0.0.0:9000"
)]
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
    /// Id of a validator, whose key may also write manifests and checkpoints; as often as needed.
    #[arg(long, value_name = "ID")]
    pub validator: Vec<PeerId>,
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
