//! Commands of a distributed run.

pub(crate) mod init;
pub(crate) mod join;
pub(crate) mod status;
pub(crate) mod validate;
pub(crate) mod verify;

use std::path::PathBuf;

use covey_comms::run::Run;

use crate::cli::RunArgs;
use crate::commands::machine::config::own_layers;
use crate::config::layers::Layers;
use crate::config::schema::CommsConfig;
use crate::run::{Connection, peer_buckets_opener};
use crate::system::error::Result;

/// The layers of this machine, with the folders of `--data` if there are any.
fn layers(place: &RunArgs, data: &[PathBuf]) -> Layers {
    let layers = own_layers(&place.own);
    if data.is_empty() { layers } else { layers.sources_flag("--data", data) }
}

/// Opens the run of a command. Deltas in the separate buckets of peers can be read.
async fn open_run(place: &RunArgs, connection: &Connection, comms: &CommsConfig) -> Result<Run> {
    let (bucket, clock) = (connection.bucket.clone(), connection.clock.clone());
    let run = Run::open(bucket, clock.clone(), place.run).await?;
    Ok(run.with_opener(peer_buckets_opener(&place.bucket, comms, clock)?))
}
