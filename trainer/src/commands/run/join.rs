//! `covey join`: one machine's part in a run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use covey_comms::bucket::{BucketError, Creation};
use covey_comms::ledger::LedgerClient;
use covey_comms::primitives::{Clock, Keypair, PeerId};
use covey_comms::run::{CommsError, Run};
use covey_data::dataset::Dataset;

use crate::cli::JoinArgs;
use crate::commands::dispatch::warn_of_skipped;
use crate::commands::machine::config::{own_layers, resolve};
use crate::config::layers::{Layers, Purpose};
use crate::config::schema::{CommsConfig, Config};
use crate::run::peer::{PeerSetup, RoundLoop, RunEnd};
use crate::run::{
    Connection, OwnBucket, RunSpec, identity, ledger, own_bucket, peer_buckets_opener,
};
use crate::system::device;
use crate::system::error::UsageError;
use crate::system::runtime::on_runtime;
use crate::system::terminal::output::say;
use crate::training::checkpoint::{CheckpointError, Found, newest_intact};
use crate::training::learner::Learner;

pub(crate) fn run(arguments: &JoinArgs, interrupt: &AtomicBool) -> anyhow::Result<()> {
    let layers = layers(arguments);
    let own = resolve(layers.clone(), Purpose::Show)?.config;
    device::use_threads(own.run.threads)?;
    let connection = Connection::open(&arguments.place.bucket, &own.comms)?;
    on_runtime(async {
        let run = open(&connection, arguments, &own.comms.key_file).await?;
        let spec = RunSpec::read(&run).await?;
        let config = layers.resolve_within(&spec.shared, Purpose::Show)?.config;
        let identity = identity(&config.comms.key_file)?;
        refuse_read_only(&connection, &arguments.place.bucket, Some(identity.peer())).await?;
        let brought = match &arguments.own_bucket {
            Some(url) => Some(bring(url, &config.comms, &connection.clock).await?),
            None => None,
        };
        if arguments.ledger.ledger.is_some() {
            let url = brought.as_ref().map(|own: &OwnBucket| own.url.clone());
            let mut registry = LedgerClient::new(ledger::open(&run, &arguments.ledger).await?);
            ledger::enter(&mut registry, &identity, url).await?;
        }
        let run = run.with_opener(peer_buckets_opener(
            &arguments.place.bucket,
            &config.comms,
            connection.clock.clone(),
        )?);
        let (mut peer, folder) = enter(run, spec, config, (identity, brought)).await?;
        say(&format!("taking part as {} in {folder}", peer.peer()));
        let ending = peer.play(interrupt).await?;
        say(&closing_words(ending, &arguments.place.bucket, &folder));
        Ok(())
    })
}

fn layers(arguments: &JoinArgs) -> Layers {
    let layers = own_layers(&arguments.place.own);
    match arguments.data.is_empty() {
        true => layers,
        false => layers.sources_flag("--data", &arguments.data),
    }
}

/// The run, if the bucket lets us in. Who keeps the bucket has to know the peer's name for that, so it is told here.
async fn open(connection: &Connection, arguments: &JoinArgs, key: &Path) -> anyhow::Result<Run> {
    match Run::open(connection.bucket.clone(), connection.clock.clone(), arguments.place.run).await
    {
        Err(CommsError::Bucket(BucketError::Denied { .. })) => {
            let problem = UsageError::new(format!("{} does not let us in", arguments.place.bucket));
            // Without a folder of its own, the peer's key would be looked for below the name of the run.
            let peer = arguments.place.own.output.as_ref().map(|_| identity(key)).transpose()?;
            Err(problem
                .with_hint(ask_for_keys("let this machine in", peer.map(|own| own.peer())))
                .into())
        }
        run => Ok(run?),
    }
}

fn ask_for_keys(purpose: &str, peer: Option<PeerId>) -> String {
    let name = peer.map(|peer| format!("; it is peer {peer}")).unwrap_or_default();
    format!("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that {purpose}{name}")
}

/// A bucket that cannot be written to is found out before anything is fetched.
pub(super) async fn refuse_read_only(
    connection: &Connection,
    bucket: &str,
    peer: Option<PeerId>,
) -> anyhow::Result<()> {
    match connection.check().await? {
        Creation::ReadOnly => {
            let problem = UsageError::new(format!("{bucket} can be read, but not written to"));
            Err(problem.with_hint(ask_for_keys("let this machine write", peer)).into())
        }
        creation @ Creation::Overwrites => {
            say(&format!("warning: {}", creation.consequence()));
            Ok(())
        }
        Creation::Honoured => Ok(()),
    }
}

/// The bucket of this peer's own, held to what the run's is: to be found out before anything is trained for nothing.
async fn bring(
    url: &str,
    comms: &CommsConfig,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<OwnBucket> {
    let own = own_bucket(url, comms, clock)?;
    let connection = Connection { bucket: Arc::clone(&own.bucket), clock: Arc::clone(clock) };
    match connection.check().await? {
        Creation::ReadOnly => {
            let problem = UsageError::new(format!("{url} can be read, but not written to"));
            let hint = "set OWN_AWS_ACCESS_KEY_ID and OWN_AWS_SECRET_ACCESS_KEY to keys that let this machine write";
            Err(problem.with_hint(hint).into())
        }
        // Nobody else writes there.
        Creation::Honoured | Creation::Overwrites => Ok(own),
    }
}

/// The peer, at the newest checkpoint of its own folder or of the bucket, and where that folder is.
async fn enter(
    run: Run,
    spec: RunSpec,
    mut config: Config,
    (identity, own_bucket): (Keypair, Option<OwnBucket>),
) -> anyhow::Result<(RoundLoop, String)> {
    let folder = config.run.output.clone();
    // Before gigabytes of data are fetched.
    Learner::check(&spec.model, &config)?;
    config.data.sources = spec.data(&run, &config.data.sources, &folder.join("data")).await?;
    let datasets = config.data.sources.iter().map(|source| Dataset::open(&source.path));
    let datasets = datasets.collect::<Result<Vec<_>, _>>()?;
    let found = own_checkpoint(&folder)?;
    let setup = PeerSetup { run, spec, config, identity, own_bucket, datasets };
    let peer = RoundLoop::enter(setup, found.as_ref().map(|found| &found.checkpoint)).await?;
    Ok((peer, folder.display().to_string()))
}

/// The newest checkpoint of this peer that is intact. Without one, the bucket has all but its error feedback.
fn own_checkpoint(folder: &Path) -> anyhow::Result<Option<Found>> {
    let found = match newest_intact(folder) {
        Err(error @ CheckpointError::NoneIntact { .. }) => {
            say(&format!("warning: {error}; beginning anew from the bucket"));
            None
        }
        found => found?,
    };
    if let Some(found) = &found {
        warn_of_skipped(found);
        say(&format!("going on from {}", found.checkpoint.path().display()));
    }
    Ok(found)
}

fn closing_words(ending: RunEnd, bucket: &str, folder: &str) -> String {
    match ending {
        RunEnd::Finished => format!("the run is over; its weights are in {folder}"),
        RunEnd::Left => {
            format!("left the run; come back with `covey join {bucket} --output {folder}`")
        }
    }
}
