//! `covey join`: one machine's part in a run.

use std::sync::atomic::AtomicBool;

use covey_comms::{Creation, Run};
use covey_data::Dataset;

use super::{on_runtime, own_layers, say};
use crate::checkpoint::newest_intact;
use crate::cli::JoinArgs;
use crate::common_run::connection::{Connection, identity};
use crate::common_run::terms::Terms;
use crate::config::{Config, Layers, Purpose};
use crate::device;
use crate::diagnostics::UsageError;
use crate::round_loop::{Ending, Peer, PeerSetup};

pub(super) fn run(arguments: &JoinArgs, interrupt: &AtomicBool) -> anyhow::Result<()> {
    let layers = layers(arguments);
    let own = layers.clone().resolve(Purpose::Show)?.config;
    device::use_threads(own.run.threads)?;
    let connection = Connection::open(&arguments.bucket, &own.comms)?;
    on_runtime(async {
        let run = Run::open(connection.bucket.clone(), connection.clock.clone(), arguments.run).await?;
        refuse_read_only(&connection, &arguments.bucket).await?;
        let terms = Terms::read(&run).await?;
        let config = layers.resolve_within(&terms.shared, Purpose::Show)?.config;
        let (mut peer, folder) = enter(run, terms, config).await?;
        say(&format!("taking part as {} in {folder}", peer.peer()));
        let ending = peer.play(interrupt).await?;
        say(&closing_words(ending, &arguments.bucket, &folder));
        Ok(())
    })
}

fn layers(arguments: &JoinArgs) -> Layers {
    let layers = own_layers(&arguments.own);
    match arguments.data.is_empty() {
        true => layers,
        false => layers.sources_flag("--data", &arguments.data),
    }
}

/// A bucket that cannot be written to is found out before anything is fetched.
async fn refuse_read_only(connection: &Connection, bucket: &str) -> anyhow::Result<()> {
    match connection.check().await? {
        Creation::ReadOnly => Err(read_only(bucket)),
        creation @ Creation::Overwrites => {
            say(&format!("warning: {}", creation.consequence()));
            Ok(())
        }
        Creation::Honoured => Ok(()),
    }
}

pub(super) fn read_only(bucket: &str) -> anyhow::Error {
    let problem = UsageError::new(format!("{bucket} can be read, but not written to"));
    problem.with_hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that may write there").into()
}

/// The peer, at the newest checkpoint of its own folder or of the bucket, and where that folder is.
async fn enter(run: Run, terms: Terms, mut config: Config) -> anyhow::Result<(Peer, String)> {
    let folder = config.run.output.clone();
    config.data.sources = terms.data(&run, &config.data.sources, &folder.join("data")).await?;
    let datasets = config.data.sources.iter().map(|source| {
        let dataset = Dataset::open(&source.path)?;
        dataset.verify()?;
        Ok(dataset)
    });
    let datasets = datasets.collect::<anyhow::Result<Vec<_>>>()?;
    let identity = identity(&config.comms.key)?;
    let found = newest_intact(&folder)?;
    if let Some(found) = &found {
        say(&format!("going on from {}", found.checkpoint.path().display()));
    }
    let setup = PeerSetup { run, terms, config, identity, datasets };
    let peer = Peer::enter(setup, found.as_ref().map(|found| &found.checkpoint)).await?;
    Ok((peer, folder.display().to_string()))
}

fn closing_words(ending: Ending, bucket: &str, folder: &str) -> String {
    match ending {
        Ending::Finished => format!("the run is over; its weights are in {folder}"),
        Ending::Left => format!("left the run; come back with `covey join {bucket} --output {folder}`"),
    }
}
