//! `covey train`: a run from its beginning, or from where it stopped.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::cli::TrainArgs;
use crate::commands::dispatch::warn_of_skipped;
use crate::commands::machine::config;
use crate::config::layers::{Layers, Purpose, Resolved};
use crate::system::device;
use crate::system::error::UsageError;
use crate::system::terminal::bytes;
use crate::system::terminal::output::say;
use crate::training::checkpoint::{Found, has_checkpoints, newest_intact};
use crate::training::{TrainingLoop, TrainingOutcome};

pub(crate) fn run(arguments: &TrainArgs, interrupt: &AtomicBool) -> anyhow::Result<()> {
    let layers = config::layers(&arguments.config);
    let (resolved, found) = if arguments.resume {
        find(layers, arguments.config.file.is_some())?
    } else {
        let resolved = config::resolve(layers, Purpose::Train)?;
        refuse_taken(&resolved.config.run.output)?;
        (resolved, None)
    };
    device::use_threads(resolved.config.run.threads)?;
    let outcome = train(&resolved, found.as_ref(), interrupt)?;
    say(&closing_words(&resolved.config.run.output, &outcome));
    Ok(())
}

/// Opens the run, says where it stands, and trains.
pub(crate) fn train(
    resolved: &Resolved,
    found: Option<&Found>,
    interrupt: &AtomicBool,
) -> anyhow::Result<TrainingOutcome> {
    if let Some(found) = found {
        warn_of_skipped(found);
        say(&format!("going on from {}", found.checkpoint.path().display()));
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

/// The newest intact checkpoint, and the configuration of its run with what was said on the command line on top.
fn find(layers: Layers, has_file: bool) -> anyhow::Result<(Resolved, Option<Found>)> {
    let folder = config::resolve(layers.clone(), Purpose::Show)?.config.run.output;
    let found = newest_intact(&folder)?.ok_or_else(|| {
        UsageError::new(format!("{} has no checkpoint to go on from", folder.display()))
            .with_hint("name the run's folder with `--output`, or leave out `--resume` to begin it")
    })?;
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

/// A run that begins does not bury one that is there.
pub(crate) fn refuse_taken(folder: &Path) -> anyhow::Result<()> {
    if !has_checkpoints(folder)? {
        return Ok(());
    }
    let taken = UsageError::new(format!("{} already holds a run", folder.display()));
    Err(taken
        .with_hint("go on with it by `--resume`, or choose another folder with `--output`")
        .into())
}

/// What became of the run, and what to do next.
pub(crate) fn closing_words(folder: &Path, outcome: &TrainingOutcome) -> String {
    let folder = folder.display();
    match &outcome.checkpoint {
        _ if !outcome.finished => {
            format!(
                "stopped after step {}; go on with `covey train --resume --output {folder}`",
                outcome.step
            )
        }
        Some(checkpoint) => {
            format!("finished after step {}; saved {}", outcome.step, checkpoint.display())
        }
        None => format!("all {} steps were done before; nothing was left to do", outcome.step),
    }
}
