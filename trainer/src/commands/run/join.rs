//! `covey join`: takes part in a run as a peer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use covey_comms::bucket::{BucketError, Creation};
use covey_comms::ledger::LedgerClient;
use covey_comms::primitives::{Clock, Keypair, PeerId};
use covey_comms::run::{CommsError, Run};
use covey_data::dataset::Dataset;

use super::layers;
use crate::cli::JoinArgs;
use crate::commands::dispatch::warn_of_skipped;
use crate::commands::ledger::ledger_choice;
use crate::commands::machine::config::resolve;
use crate::config::layers::Purpose;
use crate::config::schema::{CommsConfig, Config};
use crate::run::peer::{PeerSetup, RoundLoop, RunEnd};
use crate::run::{
    Connection, OwnBucket, RunSpec, identity, ledger, own_bucket, peer_buckets_opener,
};
use crate::system::device;
use crate::system::error::{Result, UsageError};
use crate::system::runtime::on_runtime;
use crate::system::terminal::output::say;
use crate::training::checkpoint::{CheckpointError, Found, newest_intact};
use crate::training::learner::Learner;

pub(crate) fn run(arguments: &JoinArgs, interrupt: &AtomicBool) -> Result<()> {
    let layers = layers(&arguments.place, &arguments.data);
    let own = resolve(layers.clone(), Purpose::Show)?.config;
    // The thread pool can only be set before its first use.
    device::use_threads(own.run.threads)?;
    let connection = Connection::open(&arguments.place.bucket, &own.comms)?;
    on_runtime(async {
        let run = open(&connection, arguments, &own.comms.key_file).await?;
        let spec = RunSpec::read(&run).await?;
        let config = layers.resolve_within(&spec.shared, Purpose::Show)?.config;
        let identity = identity(&config.comms.key_file)?;
        refuse_read_only(&connection, &arguments.place.bucket, Some(identity.peer())).await?;
        let own_bucket = match &arguments.own_bucket {
            Some(url) => Some(open_own_bucket(url, &config.comms, &connection.clock).await?),
            None => None,
        };
        if arguments.ledger.ledger.is_some() {
            let url = own_bucket.as_ref().map(|own: &OwnBucket| own.url.clone());
            let mut registry =
                LedgerClient::new(ledger::open(&run, &ledger_choice(&arguments.ledger)).await?);
            ledger::ensure_registered(&mut registry, &identity, url).await?;
        }
        let run = run.with_opener(peer_buckets_opener(
            &arguments.place.bucket,
            &config.comms,
            connection.clock.clone(),
        )?);
        let (mut peer, folder) = enter(run, spec, config, (identity, own_bucket)).await?;
        say(&format!("taking part as {} in {folder}", peer.peer()));
        let ending = peer.play(interrupt).await?;
        say(&closing_line(ending, &arguments.place.bucket, &folder));
        Ok(())
    })
}

/// Opens the run. If the bucket denies access, the hint contains the peer ID, because the owner of
/// the bucket needs it to create keys.
async fn open(connection: &Connection, arguments: &JoinArgs, key: &Path) -> Result<Run> {
    match Run::open(connection.bucket.clone(), connection.clock.clone(), arguments.place.run).await
    {
        Err(CommsError::Bucket(BucketError::Denied { .. })) => {
            let problem =
                UsageError::new(format!("access to {} is denied", arguments.place.bucket));
            // Without an output folder, the path of the key would depend on the name of the run,
            // which cannot be read here.
            let peer = arguments.place.own.output.as_ref().map(|_| identity(key)).transpose()?;
            Err(problem.with_hint(ask_for_keys("allow reading", peer.map(|own| own.peer()))).into())
        }
        run => Ok(run?),
    }
}

fn ask_for_keys(purpose: &str, peer: Option<PeerId>) -> String {
    let name = peer.map(|peer| format!("; this machine is peer {peer}")).unwrap_or_default();
    format!("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that {purpose}{name}")
}

/// Refuses a bucket that cannot be written, before anything is downloaded.
pub(super) async fn refuse_read_only(
    connection: &Connection,
    bucket: &str,
    peer: Option<PeerId>,
) -> Result<()> {
    match connection.check().await? {
        Creation::ReadOnly => {
            let problem = UsageError::new(format!("{bucket} can be read but not written"));
            Err(problem.with_hint(ask_for_keys("allow writing", peer)).into())
        }
        creation @ Creation::Overwrites => {
            say(&format!("warning: {}", creation.consequence()));
            Ok(())
        }
        Creation::Honoured => Ok(()),
    }
}

/// Opens the separate bucket of this peer and probes it, before any training.
async fn open_own_bucket(
    url: &str,
    comms: &CommsConfig,
    clock: &Arc<dyn Clock>,
) -> Result<OwnBucket> {
    let own = own_bucket(url, comms, clock)?;
    let connection = Connection { bucket: Arc::clone(&own.bucket), clock: Arc::clone(clock) };
    match connection.check().await? {
        Creation::ReadOnly => {
            let problem = UsageError::new(format!("{url} can be read but not written"));
            let hint = "set OWN_AWS_ACCESS_KEY_ID and OWN_AWS_SECRET_ACCESS_KEY to keys that \
                        allow writing";
            Err(problem.with_hint(hint).into())
        }
        // Only this peer writes there, so nothing can be overwritten by others.
        Creation::Honoured | Creation::Overwrites => Ok(own),
    }
}

/// Returns the peer, at its own newest checkpoint or the newest of the bucket, and its folder.
async fn enter(
    run: Run,
    spec: RunSpec,
    mut config: Config,
    (identity, own_bucket): (Keypair, Option<OwnBucket>),
) -> Result<(RoundLoop, String)> {
    let folder = config.run.output.clone();
    // Before gigabytes of data are downloaded.
    Learner::check(&spec.model, &config)?;
    config.data.sources = spec.data(&run, &config.data.sources, &folder.join("data")).await?;
    let datasets = config.data.sources.iter().map(|source| Dataset::open(&source.path));
    let datasets = datasets.collect::<Result<Vec<_>, _>>()?;
    let found = own_checkpoint(&folder)?;
    let setup = PeerSetup { run, spec, config, identity, own_bucket, datasets };
    let peer = RoundLoop::enter(setup, found.as_ref().map(|found| &found.checkpoint)).await?;
    Ok((peer, folder.display().to_string()))
}

/// Returns the newest intact checkpoint of this peer. Without one, only its error feedback is lost:
/// everything other state is in the bucket.
fn own_checkpoint(folder: &Path) -> Result<Option<Found>> {
    let found = match newest_intact(folder) {
        Err(error @ CheckpointError::NoneIntact { .. }) => {
            say(&format!("warning: {error}; starting from the checkpoint of the bucket"));
            None
        }
        found => found?,
    };
    if let Some(found) = &found {
        warn_of_skipped(found);
        say(&format!("continuing from {}", found.checkpoint.path().display()));
    }
    Ok(found)
}

fn closing_line(ending: RunEnd, bucket: &str, folder: &str) -> String {
    match ending {
        RunEnd::Finished => format!("the run is over; its weights are in {folder}"),
        RunEnd::Left => {
            format!("left the run; return with `covey join {bucket} --output {folder}`")
        }
    }
}
