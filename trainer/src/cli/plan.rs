//! Flags of `covey plan`.

use clap::Args;

use super::config::ConfigArgs;
use super::parsers::{amount, byte_size};

/// Flags of `covey plan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  covey plan --preset tiny --device cpu:4\n  \
                  covey plan --preset covenant-72b --device cuda:0-7 --device-memory 192GB \
                  --rate 400T --between 450G --peers 20 --up 110M --down 500M")]
pub struct PlanArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Size of the vocabulary, if neither preset nor file sets it.
    #[arg(long, value_name = "TOKENS")]
    pub vocab_size: Option<usize>,
    /// Memory of each device in bytes, such as 80GB [default: as this machine reports].
    #[arg(long, value_name = "BYTES", value_parser = byte_size)]
    pub device_memory: Option<u64>,
    /// Useful operations per second of one device, such as 400T [default: measured here].
    #[arg(long, value_name = "FLOPS", value_parser = amount)]
    pub rate: Option<f64>,
    /// Bytes per second between two devices, each way, such as 450G.
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    pub between: Option<f64>,
    /// Number of peers in the run.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub peers: u64,
    // The defaults of the links are those of the peers of Covenant-72B.
    /// Upload rate of a peer, in bits per second.
    #[arg(long, value_name = "BITS", default_value = "110M", value_parser = amount)]
    pub up: f64,
    /// Download rate of a peer, in bits per second.
    #[arg(long, value_name = "BITS", default_value = "500M", value_parser = amount)]
    pub down: f64,
}
