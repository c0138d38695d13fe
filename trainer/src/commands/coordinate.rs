//! `covey coordinate`: closes the rounds of a run.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use covey_comms::Run;

use super::init::coordinator_key;
use super::{is_raised, on_runtime, own_layers, say};
use crate::cli::CoordinateArgs;
use crate::common_run::connection::{Connection, identity};
use crate::common_run::coordination::{ClosedRound, Coordination};
use crate::common_run::terms::Terms;
use crate::config::Purpose;
use crate::device;
use crate::diagnostics::UsageError;
use crate::progress::bytes;

pub(super) fn run(arguments: &CoordinateArgs, interrupt: &AtomicBool) -> anyhow::Result<()> {
    let own = own_layers(&arguments.own).resolve(Purpose::Show)?.config;
    device::use_threads(own.run.threads)?;
    let connection = Connection::open(&arguments.bucket, &own.comms)?;
    on_runtime(async {
        let run = Run::open(connection.bucket.clone(), connection.clock.clone(), arguments.run).await?;
        connection.check().await?;
        let key = arguments.key.clone().unwrap_or_else(|| coordinator_key(&run.description().name));
        if !key.exists() {
            let problem = UsageError::new(format!("there is no key in {}", key.display()));
            return Err(problem.with_hint("name the key that `covey init` made with `--key`").into());
        }
        let terms = Terms::read(&run).await?;
        let poll = Duration::from_secs_f64(own.comms.poll);
        let mut coordination = Coordination::open(run, terms, identity(&key)?, poll).await?;
        say(&format!("closing the rounds of {}", arguments.bucket));
        while !coordination.is_over() && !is_raised(interrupt) {
            if let Some(closed) = coordination.close_round(interrupt).await? {
                say(&line(&closed));
            }
        }
        say(if coordination.is_over() { "the run is over" } else { "stopped; start again at any time" });
        Ok(())
    })
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
