//! `covey validate`: scores deltas and closes the rounds of a run together with the other
//! validators.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use covey_comms::bucket::BucketError;
use covey_comms::objects::Key;
use covey_comms::primitives::{Clock, Keypair, PeerId};
use covey_comms::run::{CommsError, Run};
use covey_data::dataset::Dataset;

use super::init::validator_key;
use super::join::refuse_read_only;
use super::{layers, open_run};
use crate::cli::{IdArgs, LedgerFlags, ValidateArgs};
use crate::commands::ledger::ledger_choice;
use crate::commands::machine::config::resolve;
use crate::config::layers::Purpose;
use crate::config::schema::Config;
use crate::run::validator::{ClosedRound, Validation, ValidatorSetup};
use crate::run::{Connection, RegisteredPeers, RunSpec, identity, ledger};
use crate::system::device;
use crate::system::error::{Result, UsageError};
use crate::system::logging;
use crate::system::runtime::on_runtime;
use crate::system::signal::is_raised;
use crate::system::terminal::bytes;
use crate::system::terminal::output::{print, say};
use crate::training::learner::Learner;

pub(crate) fn run(arguments: &ValidateArgs, interrupt: &AtomicBool) -> Result<()> {
    let layers = layers(&arguments.place, &arguments.data);
    let own = resolve(layers.clone(), Purpose::Show)?.config;
    // The thread pool can only be set before its first use.
    device::use_threads(own.run.threads)?;
    let connection = Connection::open(&arguments.place.bucket, &own.comms)?;
    on_runtime(async {
        let run = open_run(&arguments.place, &connection, &own.comms).await?;
        let key = arguments.key.clone().unwrap_or_else(|| validator_key(&run.description().name));
        let identity = validator(&run, &key)?;
        refuse_read_only(&connection, &arguments.place.bucket, None).await?;
        check_manifest_access(&run, &arguments.place.bucket).await?;
        let spec = RunSpec::read(&run).await?;
        let config = layers.resolve_within(&spec.shared, Purpose::Show)?.config;
        logging::open_file(&config.run.output)?;
        let registered = registered_peers(&run, &arguments.ledger).await?;
        let mut validation = open(run, spec, config, identity.clone()).await?;
        if let Some(registered) = &registered {
            validation = validation.with_registry(registered.lookup());
        }
        say(&format!(
            "validating as {}\nclosing the rounds of {}",
            identity.peer(),
            arguments.place.bucket
        ));
        let clock = connection.clock.as_ref();
        close_rounds(&mut validation, registered, &identity, clock, interrupt).await?;
        say(if validation.is_over() {
            "the run is over"
        } else {
            "stopped; start again at any time"
        });
        Ok(())
    })
}

/// Closes rounds until the run is complete or `interrupt` is raised.
async fn close_rounds(
    validation: &mut Validation,
    mut registered: Option<RegisteredPeers>,
    identity: &Keypair,
    clock: &dyn Clock,
    interrupt: &AtomicBool,
) -> Result<()> {
    while !validation.is_over() && !is_raised(interrupt) {
        let work = validation.close_round(interrupt);
        let closed = match &mut registered {
            Some(registered) => registered.during(clock, work).await?,
            None => work.await?,
        };
        if let Some(closed) = closed {
            say(&line(&closed));
            post_to_ledger(registered.as_mut(), identity, &closed).await?;
        }
    }
    Ok(())
}

/// Returns the registered peers, if a ledger is given.
async fn registered_peers(run: &Run, flags: &LedgerFlags) -> Result<Option<RegisteredPeers>> {
    match flags.ledger {
        Some(_) => {
            Ok(Some(RegisteredPeers::open(ledger::open(run, &ledger_choice(flags)).await?).await?))
        }
        None => Ok(None),
    }
}

/// Posts the digests of a closed round to the ledger. The round is closed already, so an
/// unreachable ledger causes a warning only.
async fn post_to_ledger(
    registered: Option<&mut RegisteredPeers>,
    identity: &Keypair,
    closed: &ClosedRound,
) -> Result<()> {
    let Some(registered) = registered else { return Ok(()) };
    match registered.post(identity, closed.scores, closed.checkpoint).await {
        Err(error) if error.is_passing() => {
            say(&format!("warning: cannot post round {} to the ledger: {error}", closed.round));
            Ok(())
        }
        posted => Ok(posted?),
    }
}

/// `covey id`: prints the public ID of a key file.
pub(crate) fn id(arguments: &IdArgs) -> Result<()> {
    print(&format!("{}\n", identity(&arguments.key)?.peer()))
}

/// Loads the key of a validator of the run. Signatures of any other key would not count.
fn validator(run: &Run, key: &Path) -> Result<Keypair> {
    if !key.exists() {
        let problem = UsageError::new(format!("key file {} does not exist", key.display()));
        return Err(problem
            .with_hint("name the key file that `covey init` or `covey id` created with `--key`")
            .into());
    }
    let identity = identity(key)?;
    if run.description().validator_set.contains(identity.peer()) {
        Ok(identity)
    } else {
        Err(CommsError::NotValidator { got: identity.peer() }.into())
    }
}

/// Refuses keys that cannot write the run description again, with the same bytes: they could not
/// write manifests either. This is checked before any peer trains.
async fn check_manifest_access(run: &Run, bucket: &str) -> Result<()> {
    let description = run.description().to_bytes().into();
    match run.bucket().put_new(&Key::RunDescription, description).await {
        Err(BucketError::Denied { .. }) => {
            let problem = UsageError::new(format!(
                "the access keys in use cannot write manifests in {bucket}"
            ));
            Err(problem.with_hint("use the access keys of the run's creator").into())
        }
        written => Ok(written.map(drop)?),
    }
}

async fn open(
    run: Run,
    spec: RunSpec,
    mut config: Config,
    identity: Keypair,
) -> Result<Validation> {
    let datasets = datasets(&run, &spec, &mut config).await?;
    Validation::open(ValidatorSetup { run, spec, config, identity, datasets }).await
}

/// Returns the datasets of the run, from the given folders or downloaded below the output folder,
/// and sets their paths in `config`.
pub(super) async fn datasets(
    run: &Run,
    spec: &RunSpec,
    config: &mut Config,
) -> Result<Vec<Dataset>> {
    // Before gigabytes of data are downloaded.
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

/// The progress line of a closed round.
fn line(closed: &ClosedRound) -> String {
    let out: Vec<_> =
        closed.excluded.iter().map(|(peer, reason)| format!("{} {reason}", peer.short())).collect();
    let out =
        if out.is_empty() { String::new() } else { format!("; excluded: {}", out.join(", ")) };
    let (included, weights) = (closed.included, closed.weights.get(..8).unwrap_or_default());
    let kind = if included == 0 { " (void)" } else { "" };
    format!(
        "round {}{kind}: {included} deltas, {}; {} measured by {}; step {} of {}; \
         weights {weights}{out}{}",
        closed.round,
        bytes(closed.bytes as f64),
        closed.measured,
        closed.proposer.short(),
        closed.outer_steps,
        closed.total,
        penalties(closed)
    )
}

fn penalties(closed: &ClosedRound) -> String {
    let mut peers: Vec<PeerId> = closed.penalties.iter().map(|penalty| penalty.peer).collect();
    peers.dedup();
    if peers.is_empty() {
        return String::new();
    }
    let names: Vec<_> = peers.iter().map(PeerId::short).collect();
    format!("; penalties for {}", names.join(", "))
}
