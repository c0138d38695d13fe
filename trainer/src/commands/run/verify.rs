//! `covey verify`: recomputes the verdicts of a run and reports differences.

use std::sync::atomic::AtomicBool;

use covey_comms::gauntlet::verdict::Difference;
use covey_comms::primitives::PeerId;
use covey_comms::run::Run;
use serde_json::json;

use super::{layers, open_run, validate};
use crate::cli::VerifyArgs;
use crate::commands::machine::config::resolve;
use crate::config::layers::{Layers, Purpose};
use crate::config::schema::Config;
use crate::run::{
    Connection, Depth, Instruments, RoundVerification, RunSpec, Verification, assignment,
};
use crate::system::device;
use crate::system::error::{Failure, Result, UsageError};
use crate::system::runtime::on_runtime;
use crate::system::signal::is_raised;
use crate::system::terminal::output::{print, say};
use crate::training::learner::Learner;

pub(crate) fn run(arguments: &VerifyArgs, interrupt: &AtomicBool) -> Result<()> {
    let layers = layers(&arguments.place, &arguments.data);
    let own = resolve(layers.clone(), Purpose::Show)?.config;
    device::use_threads(own.run.threads)?;
    let connection = Connection::open(&arguments.place.bucket, &own.comms)?;
    let findings = on_runtime(async {
        let run = open_run(&arguments.place, &connection, &own.comms).await?;
        let verification = begin(run, arguments, layers).await?;
        verify_rounds(verification, arguments, interrupt).await
    })?;
    conclude(&findings)
}

async fn begin(run: Run, arguments: &VerifyArgs, layers: Layers) -> Result<Verification> {
    let spec = RunSpec::read(&run).await?;
    let mut config = layers.resolve_within(&spec.shared, Purpose::Show)?.config;
    let instruments =
        if arguments.quick { None } else { Some(instruments(&run, &spec, &mut config).await?) };
    Verification::begin(run, spec, instruments).await
}

async fn instruments(run: &Run, spec: &RunSpec, config: &mut Config) -> Result<Instruments> {
    let datasets = validate::datasets(run, spec, config).await?;
    let reader = Learner::open(&spec.model, config, |_, range| Ok(vec![0.0; range.len()]))?;
    Ok(Instruments { reader, assignment: assignment(config, &datasets)? })
}

/// Verifies the requested rounds and prints a line for each.
async fn verify_rounds(
    mut verification: Verification,
    arguments: &VerifyArgs,
    interrupt: &AtomicBool,
) -> Result<Vec<RoundVerification>> {
    let mut findings = Vec::new();
    while !is_raised(interrupt) {
        let next = verification.next_round().0;
        match arguments.round {
            Some(wanted) if next > wanted => break,
            Some(wanted) if next < wanted => {
                // Earlier rounds are followed without evaluation: peer records and weights depend
                // on them.
                if verification.skip().await?.is_none() {
                    return Err(undecided(wanted, next).into());
                }
                continue;
            }
            _ => {}
        }
        let Some(finding) = verification.verify_next().await? else {
            if let Some(wanted) = arguments.round {
                return Err(undecided(wanted, next).into());
            }
            break;
        };
        // Printed at once: the verification of a long run takes hours.
        let text = if arguments.json { as_json(&finding).to_string() } else { line(&finding) };
        print(&format!("{text}\n"))?;
        findings.push(finding);
    }
    Ok(findings)
}

fn undecided(wanted: u32, next: u32) -> UsageError {
    UsageError::new(format!("round {wanted} has not been decided; the next one is round {next}"))
}

/// Prints the result, or returns an error if a round differs.
fn conclude(findings: &[RoundVerification]) -> Result<()> {
    let wrong: Vec<_> = findings.iter().filter(|finding| finding.difference.is_some()).collect();
    // An error after all rounds, so scripts see it in the exit code.
    if let Some(first) = wrong.first() {
        return Err(Failure::new(format!(
            "{} of {} rounds differ, the first is round {}",
            wrong.len(),
            findings.len(),
            first.round.0
        )));
    }
    let deep = findings.iter().filter(|finding| finding.depth == Depth::Deltas).count();
    say(&format!(
        "{} rounds match; losses and weights of {deep} of them were recomputed",
        findings.len()
    ));
    Ok(())
}

fn line(finding: &RoundVerification) -> String {
    let proposer =
        finding.proposer.map_or_else(|| "an unknown validator".to_owned(), |peer| peer.short());
    let depth = match finding.depth {
        Depth::Documents => "documents only",
        Depth::Deltas => "losses and weights recomputed",
    };
    let source = format!("verdict of {proposer}, {} signatures", finding.signers.len());
    match &finding.difference {
        None => format!("round {}: matches ({source}; {depth})", finding.round.0),
        Some(Difference { path, expected, got }) => {
            format!(
                "round {}: differs at {path}: expected {expected}, got {got} ({source})",
                finding.round.0
            )
        }
    }
}

fn difference_as_json(difference: &Difference) -> serde_json::Value {
    let Difference { path, expected, got } = difference;
    json!({ "path": path, "expected": expected, "got": got })
}

fn as_json(finding: &RoundVerification) -> serde_json::Value {
    let difference = finding.difference.as_ref().map(difference_as_json);
    json!({
        "round": finding.round.0,
        "proposer": finding.proposer.map(|peer| peer.to_string()),
        "signers": finding.signers.iter().map(PeerId::to_string).collect::<Vec<_>>(),
        "recomputed": finding.depth == Depth::Deltas,
        "difference": difference,
    })
}
