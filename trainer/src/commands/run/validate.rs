//! `covey validate`: judges what peers learned, and closes the rounds of a run together with its other validators.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use covey_comms::bucket::BucketError;
use covey_comms::objects::Key;
use covey_comms::primitives::{Keypair, PeerId};
use covey_comms::run::{CommsError, Run};
use covey_data::dataset::Dataset;

use super::init::validator_key;
use super::join::refuse_read_only;
use crate::cli::{IdArgs, LedgerFlags, ValidateArgs};
use crate::commands::machine::config::{own_layers, resolve};
use crate::config::layers::Purpose;
use crate::config::schema::Config;
use crate::run::validator::{ClosedRound, Validation, ValidatorSetup};
use crate::run::{Connection, RegisteredPeers, RunSpec, identity, ledger, peer_buckets_opener};
use crate::system::device;
use crate::system::error::UsageError;
use crate::system::runtime::on_runtime;
use crate::system::signal::is_raised;
use crate::system::terminal::bytes;
use crate::system::terminal::output::{print, say};
use crate::training::learner::Learner;

pub(crate) fn run(arguments: &ValidateArgs, interrupt: &AtomicBool) -> anyhow::Result<()> {
    let layers = own_layers(&arguments.place.own);
    let layers = if arguments.data.is_empty() {
        layers
    } else {
        layers.sources_flag("--data", &arguments.data)
    };
    let own = resolve(layers.clone(), Purpose::Show)?.config;
    device::use_threads(own.run.threads)?;
    let connection = Connection::open(&arguments.place.bucket, &own.comms)?;
    on_runtime(async {
        let run =
            Run::open(connection.bucket.clone(), connection.clock.clone(), arguments.place.run)
                .await?;
        let run = run.with_opener(peer_buckets_opener(
            &arguments.place.bucket,
            &own.comms,
            connection.clock.clone(),
        )?);
        let key = arguments.key.clone().unwrap_or_else(|| validator_key(&run.description().name));
        let identity = validator(&run, &key)?;
        refuse_read_only(&connection, &arguments.place.bucket, None).await?;
        refuse_peers_rights(&run, &arguments.place.bucket).await?;
        let spec = RunSpec::read(&run).await?;
        let config = layers.resolve_within(&spec.shared, Purpose::Show)?.config;
        let mut membership = membership(&run, &arguments.ledger).await?;
        let validation = open(run, spec, config, identity.clone()).await?;
        let mut validation = match &membership {
            Some(membership) => validation.with_registry(membership.lookup()),
            None => validation,
        };
        say(&format!(
            "validating as {}\nclosing the rounds of {}",
            identity.peer(),
            arguments.place.bucket
        ));
        while !validation.is_over() && !is_raised(interrupt) {
            let work = validation.close_round(interrupt);
            let closed = match &mut membership {
                Some(membership) => membership.during(connection.clock.as_ref(), work).await?,
                None => work.await?,
            };
            if let Some(closed) = closed {
                say(&line(&closed));
                tell(membership.as_mut(), &identity, &closed).await?;
            }
        }
        say(if validation.is_over() {
            "the run is over"
        } else {
            "stopped; start again at any time"
        });
        Ok(())
    })
}

/// Who takes part, if the ledger is asked.
async fn membership(run: &Run, flags: &LedgerFlags) -> anyhow::Result<Option<RegisteredPeers>> {
    match flags.ledger {
        Some(_) => Ok(Some(RegisteredPeers::open(ledger::open(run, flags).await?).await?)),
        None => Ok(None),
    }
}

/// Names the verdict in the ledger, and the weights if they are kept. The round is closed without that, so a ledger that is away stops nobody.
async fn tell(
    membership: Option<&mut RegisteredPeers>,
    identity: &Keypair,
    closed: &ClosedRound,
) -> anyhow::Result<()> {
    let Some(membership) = membership else { return Ok(()) };
    match membership.post(identity, closed.scores, closed.checkpoint).await {
        Err(error) if error.is_passing() => {
            say(&format!("warning: the ledger was not told of round {}: {error}", closed.round));
            Ok(())
        }
        told => Ok(told?),
    }
}

/// `covey id`: who a key is.
pub(crate) fn id(arguments: &IdArgs) -> anyhow::Result<()> {
    print(&format!("{}\n", identity(&arguments.key)?.peer()))
}

/// The validator of a key; signatures of anybody else would be believed by nobody.
fn validator(run: &Run, key: &Path) -> anyhow::Result<Keypair> {
    if !key.exists() {
        let problem = UsageError::new(format!("there is no key in {}", key.display()));
        return Err(problem
            .with_hint("name the key that `covey init` or `covey id` made with `--key`")
            .into());
    }
    let identity = identity(key)?;
    match run.description().validator_set.contains(identity.peer()) {
        true => Ok(identity),
        false => Err(CommsError::NotValidator { got: identity.peer() }.into()),
    }
}

/// Who may not write what the founder wrote, again and with the same bytes, may not write manifests either. It is found
/// out before peers train for nothing.
async fn refuse_peers_rights(run: &Run, bucket: &str) -> anyhow::Result<()> {
    let description = run.description().to_bytes().into();
    match run.bucket().put_new(&Key::RunDescription, description).await {
        Err(BucketError::Denied { .. }) => {
            let problem =
                UsageError::new(format!("the keys in use may not close rounds in {bucket}"));
            Err(problem.with_hint("validate with the keys that the run was founded with").into())
        }
        written => Ok(written.map(drop)?),
    }
}

async fn open(
    run: Run,
    spec: RunSpec,
    mut config: Config,
    identity: Keypair,
) -> anyhow::Result<Validation> {
    let datasets = datasets(&run, &spec, &mut config).await?;
    Validation::open(ValidatorSetup { run, spec, config, identity, datasets }).await
}

/// The run's data, from the folders that were named or below this machine's own; `config` knows then where it is.
pub(super) async fn datasets(
    run: &Run,
    spec: &RunSpec,
    config: &mut Config,
) -> anyhow::Result<Vec<Dataset>> {
    // Before gigabytes are fetched.
    Learner::check(&spec.model, config)?;
    config.data.sources =
        spec.data(run, &config.data.sources, &config.run.output.join("data")).await?;
    Ok(config
        .data
        .sources
        .iter()
        .map(|source| Dataset::open(&source.path))
        .collect::<Result<_, _>>()?)
}

/// A closed round, for people.
fn line(closed: &ClosedRound) -> String {
    let out: Vec<_> =
        closed.excluded.iter().map(|(peer, reason)| format!("{} {reason}", peer.short())).collect();
    let out =
        if out.is_empty() { String::new() } else { format!("; left out: {}", out.join(", ")) };
    let (included, weights) = (closed.included, closed.weights.get(..8).unwrap_or_default());
    let kind = if included == 0 { " (void)" } else { "" };
    format!(
        "round {}{kind}: {included} deltas, {}; {} measured by {}; step {} of {}; weights {weights}{out}{}",
        closed.round,
        bytes(closed.bytes as f64),
        closed.measured,
        closed.proposer.short(),
        closed.outer_steps,
        closed.total,
        punished(closed)
    )
}

fn punished(closed: &ClosedRound) -> String {
    let mut peers: Vec<PeerId> = closed.penalties.iter().map(|penalty| penalty.peer).collect();
    peers.dedup();
    match peers.is_empty() {
        true => String::new(),
        false => format!(
            "; punished: {}",
            peers.iter().map(PeerId::short).collect::<Vec<_>>().join(", ")
        ),
    }
}
