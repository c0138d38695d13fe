//! `covey train`: starts or resumes a run on this machine.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::cli::TrainArgs;
use crate::commands::dispatch::warn_of_skipped;
use crate::commands::machine::config;
use crate::config::layers::{Layers, Purpose, Resolved};
use crate::system::device;
use crate::system::error::{Result, UsageError};
use crate::system::terminal::bytes;
use crate::system::terminal::output::say;
use crate::training::checkpoint::{Found, has_checkpoints, newest_intact};
use crate::training::{TrainingLoop, TrainingOutcome};

pub(crate) fn run(arguments: &TrainArgs, interrupt: &AtomicBool) -> Result<()> {
    let layers = config::layers(&arguments.config);
    let (resolved, found) = if arguments.resume {
        find(layers, arguments.config.file.is_some())?
    } else {
        let resolved = config::resolve(layers, Purpose::Train)?;
        // A new run would replace the metrics of the old one, so `--resume` must be explicit.
        refuse_taken(&resolved.config.run.output)?;
        (resolved, None)
    };
    device::use_threads(resolved.config.run.threads)?;
    let outcome = train(&resolved, found.as_ref(), interrupt)?;
    say(&closing_line(&resolved.config.run.output, &outcome));
    Ok(())
}

/// Opens the run, prints its size, and trains.
pub(crate) fn train(
    resolved: &Resolved,
    found: Option<&Found>,
    interrupt: &AtomicBool,
) -> Result<TrainingOutcome> {
    if let Some(found) = found {
        warn_of_skipped(found);
        say(&format!("continuing from {}", found.checkpoint.path().display()));
    }
    let run = TrainingLoop::open(resolved, found.map(|found| &found.checkpoint))?;
    let model = run.model();
    say(&format!(
        "{} parameters, {} layers of width {}, vocabulary {}; needs about {}",
        model.num_parameters(),
        model.num_layers,
        model.hidden_size,
        model.vocab_size,
        bytes(run.memory() as f64)
    ));
    run.train(interrupt)
}

/// Returns the newest intact checkpoint, and its configuration with the flags of the command line
/// on top.
fn find(layers: Layers, has_file: bool) -> Result<(Resolved, Option<Found>)> {
    // Only the folder matters here; the other keys come from the checkpoint.
    let folder = config::resolve(layers.clone(), Purpose::Show)?.config.run.output;
    let found = newest_intact(&folder)?.ok_or_else(|| {
        UsageError::new(format!("{} has no checkpoint to resume from", folder.display()))
            .with_hint("name the run's folder with `--output`, or leave out `--resume` to start it")
    })?;
    // A named file replaces the configuration in the checkpoint.
    let layers = if has_file {
        layers
    } else {
        let checkpoint = &found.checkpoint;
        layers.text(checkpoint.run_config(), &checkpoint.path().join("run.toml")).path_flag(
            "--output",
            "run.output",
            &folder,
        )
    };
    Ok((layers.resolve(Purpose::Train)?, Some(found)))
}

/// Refuses to start a run in a folder that contains another one.
pub(crate) fn refuse_taken(folder: &Path) -> Result<()> {
    if !has_checkpoints(folder)? {
        return Ok(());
    }
    let taken = UsageError::new(format!("{} already contains a run", folder.display()));
    Err(taken
        .with_hint("use `--resume` to continue it, or choose another folder with `--output`")
        .into())
}

/// The last line of a run: its result, and the next command if there is one.
pub(crate) fn closing_line(folder: &Path, outcome: &TrainingOutcome) -> String {
    let folder = folder.display();
    match &outcome.checkpoint {
        _ if !outcome.finished => {
            format!(
                "stopped after step {}; continue with `covey train --resume --output {folder}`",
                outcome.step
            )
        }
        Some(checkpoint) => {
            format!("finished after step {}; saved {}", outcome.step, checkpoint.display())
        }
        None => format!("all {} steps are complete; there is nothing to do", outcome.step),
    }
}
