//! `covey coordinate`: closes the rounds of a run.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use covey_comms::{BucketError, CommsError, Identity, Key, Run};

use super::config::own_layers;
use super::init::coordinator_key;
use super::join::refuse_read_only;
use super::{is_raised, on_runtime, say};
use crate::cli::CoordinateArgs;
use crate::common_run::connection::{Connection, identity, strangers};
use crate::common_run::coordination::{ClosedRound, Coordination};
use crate::common_run::terms::Terms;
use crate::config::Purpose;
use crate::device;
use crate::diagnostics::UsageError;
use crate::progress::bytes;

pub(super) fn run(arguments: &CoordinateArgs, interrupt: &AtomicBool) -> anyhow::Result<()> {
    let own = own_layers(&arguments.place.own).resolve(Purpose::Show)?.config;
    device::use_threads(own.run.threads)?;
    let connection = Connection::open(&arguments.place.bucket, &own.comms)?;
    on_runtime(async {
        let run = Run::open(connection.bucket.clone(), connection.clock.clone(), arguments.place.run).await?;
        let run = run.with_opener(strangers(&arguments.place.bucket, &own.comms, connection.clock.clone())?);
        let key = arguments.key.clone().unwrap_or_else(|| coordinator_key(&run.description().name));
        if !key.exists() {
            let problem = UsageError::new(format!("there is no key in {}", key.display()));
            return Err(problem.with_hint("name the key that `covey init` made with `--key`").into());
        }
        let identity = identity(&key)?;
        refuse_stranger(&run, &identity)?;
        refuse_read_only(&connection, &arguments.place.bucket, None).await?;
        refuse_peers_rights(&run, &arguments.place.bucket).await?;
        let terms = Terms::read(&run).await?;
        let poll = Duration::from_secs_f64(own.comms.poll);
        let mut coordination = Coordination::open(run, terms, identity, poll).await?;
        say(&format!("closing the rounds of {}", arguments.place.bucket));
        while !coordination.is_over() && !is_raised(interrupt) {
            if let Some(closed) = coordination.close_round(interrupt).await? {
                say(&line(&closed));
            }
        }
        say(if coordination.is_over() { "the run is over" } else { "stopped; start again at any time" });
        Ok(())
    })
}

/// Manifests of anybody else would be believed by nobody.
fn refuse_stranger(run: &Run, identity: &Identity) -> Result<(), CommsError> {
    match (run.description().coordinator, identity.peer()) {
        (expected, got) if expected != got => Err(CommsError::NotCoordinator { expected, got }),
        _ => Ok(()),
    }
}

/// Who may not write what the founder wrote, again and with the same bytes, may not write manifests either. It is found
/// out before peers train for nothing.
async fn refuse_peers_rights(run: &Run, bucket: &str) -> anyhow::Result<()> {
    let description = run.description().to_bytes().into();
    match run.bucket().put_new(&Key::RunDescription, description).await {
        Err(BucketError::Denied { .. }) => {
            let problem = UsageError::new(format!("the keys in use may not close rounds in {bucket}"));
            Err(problem.with_hint("coordinate with the keys that the run was founded with").into())
        }
        written => Ok(written.map(drop)?),
    }
}

/// A closed round, for people.
fn line(closed: &ClosedRound) -> String {
    let out: Vec<_> = closed.excluded.iter().map(|(peer, reason)| format!("{} {reason}", peer.short())).collect();
    let out = if out.is_empty() { String::new() } else { format!("; left out: {}", out.join(", ")) };
    let (included, weights) = (closed.included, closed.weights.get(..8).unwrap_or_default());
    let kind = if included == 0 { " (void)" } else { "" };
    format!(
        "round {}{kind}: {included} deltas, {}; step {} of {}; weights {weights}{out}",
        closed.round,
        bytes(closed.bytes as f64),
        closed.outer_steps,
        closed.total
    )
}
