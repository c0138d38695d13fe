//! `covey peer`: registration, keys and scores of peers in the ledger.

use std::path::PathBuf;

use covey_comms::gauntlet::verdict::Verdict;
use covey_comms::history::LightClient;
use covey_comms::ledger::LedgerClient;
use covey_comms::primitives::Keypair;
use covey_comms::run::Run;

use super::{ledger_choice, scores};
use crate::cli::{
    LeaveArgs, LedgerArgs, PeerCommand, RegisterArgs, RotateArgs, RunArgs, ScoresArgs,
};
use crate::commands::machine::config::{own_layers, resolve};
use crate::config::layers::Purpose;
use crate::run::{Connection, RunSpec, identity, ledger};
use crate::system::error::{Result, UsageError};
use crate::system::runtime::on_runtime;
use crate::system::terminal::output::{print, say};

pub(crate) fn run(command: &PeerCommand) -> Result<()> {
    match command {
        PeerCommand::Register(arguments) => register(arguments),
        PeerCommand::Rotate(arguments) => rotate(arguments),
        PeerCommand::Leave(arguments) => leave(arguments),
        PeerCommand::Scores(arguments) => scores(arguments),
    }
}

/// Opens the run in a bucket.
pub(super) async fn connect(place: &RunArgs) -> Result<Run> {
    let own = resolve(own_layers(&place.own), Purpose::Show)?.config;
    let connection = Connection::open(&place.bucket, &own.comms)?;
    Ok(Run::open(connection.bucket.clone(), connection.clock.clone(), place.run).await?)
}

/// Opens the run, and reads its ledger.
async fn open(arguments: &LedgerArgs) -> Result<(Run, LedgerClient)> {
    let run = connect(&arguments.place).await?;
    let mut registry =
        LedgerClient::new(ledger::open(&run, &ledger_choice(&arguments.ledger)).await?);
    registry.refresh().await?;
    Ok((run, registry))
}

/// Returns the key file of the peer: the named one, or the one of `covey join`.
async fn key_file(run: &Run, place: &RunArgs, named: Option<&PathBuf>) -> Result<PathBuf> {
    match named {
        Some(path) => Ok(path.clone()),
        None => {
            let spec = RunSpec::read(run).await?;
            Ok(own_layers(&place.own)
                .resolve_within(&spec.shared, Purpose::Show)?
                .config
                .comms
                .key_file)
        }
    }
}

/// Loads a key that must exist already.
async fn existing_key(run: &Run, place: &RunArgs, named: Option<&PathBuf>) -> Result<Keypair> {
    let path = key_file(run, place, named).await?;
    // `identity` would create a new key, which is not the registered one.
    if path.exists() {
        return identity(&path);
    }
    let problem = UsageError::new(format!("key file {} does not exist", path.display()));
    Err(problem.with_hint("name the registered key file with `--key`").into())
}

fn register(arguments: &RegisterArgs) -> Result<()> {
    let LedgerArgs { place, .. } = &arguments.ledger;
    on_runtime(async {
        let (run, mut registry) = open(&arguments.ledger).await?;
        let peer = identity(&key_file(&run, place, arguments.key.as_ref()).await?)?;
        let bucket = arguments.own_bucket.clone();
        let entry = ledger::ensure_registered(&mut registry, &peer, bucket).await?;
        say(&match entry {
            Some(number) => format!("entry {number}: registered {}", peer.peer()),
            None => format!("{} is registered already", peer.peer()),
        });
        print(&format!("{}\n", peer.peer()))
    })
}

fn rotate(arguments: &RotateArgs) -> Result<()> {
    let LedgerArgs { place, .. } = &arguments.ledger;
    on_runtime(async {
        let (run, mut registry) = open(&arguments.ledger).await?;
        let old = existing_key(&run, place, arguments.key.as_ref()).await?;
        // The old key must exist, and the new one is created if it does not.
        let new = identity(&arguments.new_key)?;
        let number = registry.rotate(&old, &new).await?;
        let path = arguments.new_key.display();
        say(&format!("entry {number}: {} is replaced by {}", old.peer(), new.peer()));
        say(&format!(
            "join with `--set comms.key_file={path}` from now on; the old key is revoked"
        ));
        print(&format!("{}\n", new.peer()))
    })
}

fn leave(arguments: &LeaveArgs) -> Result<()> {
    if arguments.withdraw {
        return withdraw(arguments);
    }
    let LedgerArgs { place, .. } = &arguments.ledger;
    on_runtime(async {
        let (run, mut registry) = open(&arguments.ledger).await?;
        let peer = existing_key(&run, place, arguments.key.as_ref()).await?;
        let number = registry.leave(&peer).await?;
        say(&format!("entry {number}: {} has left", peer.peer()));
        Ok(())
    })
}

#[cfg(feature = "evm")]
fn withdraw(arguments: &LeaveArgs) -> Result<()> {
    let LedgerArgs { place, ledger } = &arguments.ledger;
    on_runtime(async {
        let run = connect(place).await?;
        let genesis = ledger::genesis(&run)?;
        let contract = crate::run::ledger::evm::contract(
            ledger.ledger.as_deref().unwrap_or_default(),
            genesis,
            ledger.wallet.as_deref(),
        )
        .await?;
        let gas = contract.withdraw().await?.gas;
        say(&format!("withdrew the stake for {gas} gas"));
        Ok(())
    })
}

#[cfg(not(feature = "evm"))]
fn withdraw(_: &LeaveArgs) -> Result<()> {
    let problem =
        UsageError::new("stakes exist only in contracts, which this build does not support");
    Err(problem.with_hint("build it with `cargo build --release --features evm`").into())
}

fn scores(arguments: &ScoresArgs) -> Result<()> {
    on_runtime(async {
        let (run, registry) = open(&arguments.ledger).await?;
        let (state, newest) = (registry.state(), newest_verdict(&run).await?);
        let text = if arguments.json {
            let scores = scores::as_json(state, newest.as_ref());
            format!("{}\n", serde_json::to_string_pretty(&scores)?)
        } else {
            scores::as_text(state, arguments.rounds, newest.as_ref())
        };
        print(&text)
    })
}

/// Returns the verdict of the newest round, after verification of all manifests from genesis.
async fn newest_verdict(run: &Run) -> Result<Option<Verdict>> {
    let mut light_client = LightClient::genesis(run.clone());
    // Every manifest is verified on the way, so the scores are those that the validators signed.
    while light_client.poll().await?.is_some() {}
    match light_client.last() {
        Some(manifest) => Ok(Some(run.verdict_of(manifest).await?)),
        None => Ok(None),
    }
}
