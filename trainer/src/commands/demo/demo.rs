//! `covey demo`: trains a small model on built-in text, and generates text with it.

use std::cmp::Ordering;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use covey_data::prepare::readers::InputFiles;
use covey_data::prepare::{Pipeline, PrepareOptions};
use covey_model::generation::{Sampling, TokenSampler};
use covey_model::hub::FloatDtype;

use crate::cli::DemoArgs;
use crate::commands::data::{prepare, tokenizer};
use crate::commands::demo::together;
use crate::commands::machine::config::resolve;
use crate::commands::model::export;
use crate::commands::model::train::{closing_line, refuse_taken, train};
use crate::config::layers::{Layers, Purpose, Resolved};
use crate::generate::TextStream;
use crate::system::device;
use crate::system::error::{Context, Failure, Result, UsageError};
use crate::system::signal::is_raised;
use crate::system::terminal::output::say;
use crate::training::{Activity, EvalReport, ModelFolder};

/// Tokens of the vocabulary. A larger one would need more text than the program contains.
const VOCAB_SIZE: usize = 4096;

/// Start of the generated text.
const PROMPT: &str = "The people of the United States";

/// Steps of each peer, and inner steps of a round.
const STEPS_TOGETHER: u64 = 1500;
const INNER_STEPS: u64 = 15;

/// Evaluation windows per delta. Four instead of eight halve the work of the validator, which
/// shares the machine with the peers.
const WINDOWS: u32 = 4;

/// Number of generated tokens.
const SAMPLE_TOKENS: usize = 120;

pub(crate) fn run(arguments: &DemoArgs, interrupt: &AtomicBool) -> Result<()> {
    let folder = folder(arguments)?;
    let data = folder.join("data");
    let resolved = configuration(arguments, &folder, &data)?;
    device::use_threads(resolved.config.run.threads)?;
    say(&format!(
        "training the `tiny` preset on State of the Union speeches and Moby Dick in {}",
        folder.display()
    ));
    match make_data(&data, interrupt) {
        Err(_) if is_raised(interrupt) => {
            say("stopped before training began");
            return Ok(());
        }
        made => made?,
    }
    let trained = if arguments.alone {
        alone(&resolved, &folder, interrupt)?
    } else {
        together::train(&resolved.config, &folder, arguments.peers, interrupt)?
    };
    let Some(trained) = trained else { return Ok(()) };
    report_losses(&trained)?;
    write_sample(&trained.folder, resolved.config.run.seed, interrupt)?;
    export::write(&trained.folder, &folder.join("export"), FloatDtype::Fp32, u64::MAX, interrupt)?;
    let shown = trained.folder.display();
    say(&format!(
        "generate more text with `covey generate {shown} --prompt \"My fellow citizens\"`"
    ));
    Ok(())
}

/// Prints the held-out loss before and after training.
fn report_losses(trained: &Trained) -> Result<()> {
    let (first, last) = (&trained.first, &trained.last);
    // Demos are also tests of an installation: a loss that does not fall is an error, as is NaN.
    if last.loss.partial_cmp(&first.loss) != Some(Ordering::Less) {
        return Err(Failure::new(format!(
            "the held-out loss did not fall: {} to {}",
            first.loss, last.loss
        )));
    }
    say(&format!(
        "held-out text: {:.3} bits per byte before, {:.3} after training",
        first.bits_per_byte, last.bits_per_byte
    ));
    Ok(())
}

/// A model that the demo has trained.
pub(super) struct Trained {
    /// Folder of the run or of one peer.
    pub(super) folder: PathBuf,
    pub(super) first: EvalReport,
    pub(super) last: EvalReport,
}

/// Trains in this process. Returns `None` if interrupted.
fn alone(resolved: &Resolved, folder: &Path, interrupt: &AtomicBool) -> Result<Option<Trained>> {
    let outcome = train(resolved, None, interrupt)?;
    say(&closing_line(folder, &outcome));
    if !outcome.finished {
        return Ok(None);
    }
    let nothing = "there is no evaluation on held-out text";
    let (first, last) = (outcome.first.context(nothing)?, outcome.last.context(nothing)?);
    Ok(Some(Trained { folder: folder.to_owned(), first, last }))
}

/// Returns the requested folder, or the first free one of `runs/demo`, `runs/demo-2`, …
fn folder(arguments: &DemoArgs) -> Result<PathBuf> {
    if let Some(folder) = &arguments.output {
        refuse_taken(folder)?;
        if folder.join("bucket").exists() {
            let taken = UsageError::new(format!("{} already contains a demo", folder.display()));
            return Err(taken.with_hint("choose another folder with `--output`").into());
        }
        return Ok(folder.clone());
    }
    let first = PathBuf::from("runs/demo");
    let numbered = (2..).map(|number| PathBuf::from(format!("runs/demo-{number}")));
    let mut candidates = std::iter::once(first).chain(numbered);
    candidates
        .find(|folder: &PathBuf| {
            ["checkpoints", "bucket"].iter().all(|part| !folder.join(part).exists())
        })
        .context("there is always a free number")
}

/// Trains a tokenizer on the built-in text and prepares the text with it.
fn make_data(folder: &Path, interrupt: &AtomicBool) -> Result<()> {
    let inputs = InputFiles::embedded();
    let tokenizer =
        tokenizer::learn(&inputs, VOCAB_SIZE, &Activity::new("training a tokenizer"), interrupt)?;
    // The built-in text is small: 2 percent are enough for the held-out windows.
    let options = PrepareOptions { held_out_fraction: 0.02, ..PrepareOptions::default() };
    let preparation = Pipeline { options, ..Pipeline::new(&inputs, &tokenizer, folder) };
    prepare::prepare(&preparation, interrupt)?;
    Ok(())
}

fn configuration(arguments: &DemoArgs, folder: &Path, data: &Path) -> Result<Resolved> {
    let mut layers = Layers::new()
        .environment(std::env::vars_os())
        .flag("demo", "model.preset", "tiny")
        .flag("demo", "run.name", "demo")
        .path_flag("--output", "run.output", folder)
        .sources_flag("demo", &[data.to_owned()]);
    if !arguments.alone {
        let steps = arguments.steps.unwrap_or(STEPS_TOGETHER);
        // The number of inner steps must divide the number of steps.
        let inner_steps =
            (1..=INNER_STEPS).rev().find(|inner| steps.is_multiple_of(*inner)).unwrap_or(1);
        layers = layers
            .flag("demo", "train.steps", steps)
            .flag("demo", "rounds.inner_steps", inner_steps)
            .flag("demo", "rounds.min_peers", arguments.peers)
            .flag("demo", "gauntlet.eval_windows", WINDOWS)
            // The bucket is a local folder, so polling costs almost nothing.
            .flag("demo", "comms.poll_interval", 0.05);
    }
    let steps = ("--steps", "train.steps", arguments.steps.map(|steps| steps.to_string()));
    let seed = ("--seed", "run.seed", arguments.seed.map(|seed| seed.to_string()));
    let threads =
        ("--threads", "run.threads", arguments.threads.map(|threads| threads.to_string()));
    for (flag, key, value) in [steps, seed, threads] {
        if let Some(value) = value {
            layers = layers.flag(flag, key, value);
        }
    }
    Ok(resolve(layers, Purpose::Train)?)
}

fn write_sample(folder: &Path, seed: u64, interrupt: &AtomicBool) -> Result<()> {
    let model = ModelFolder::open(folder, |warning| say(&warning))?;
    let tokenizer = model.tokenizer()?;
    let (decoder, weights) = model.load(&device::open_one("cpu")?)?;
    // A small model repeats itself with greedy sampling; these values are common for short texts.
    let sampler =
        TokenSampler::new(Sampling { temperature: 0.8, top_k: None, top_p: Some(0.95) }, seed)?;
    let writer = TextStream {
        decoder: &decoder,
        weights: &weights,
        tokenizer: &tokenizer,
        sampler,
        ends: &[],
    };
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "\n{PROMPT}")?;
    writer.write(PROMPT, SAMPLE_TOKENS, interrupt, |text| {
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    })?;
    writeln!(stdout, "\n")?;
    Ok(())
}
