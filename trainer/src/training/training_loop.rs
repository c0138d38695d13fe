//! The training loop of a run on one machine: steps, evaluations, metrics and checkpoints.

use crate::system::error::{Context, Result};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use covey_data::dataset::Dataset;
use covey_data::sampling::{Cursor, PrefetchLoader};
use covey_data::tokenizer::Tokenizer;
use covey_model::config::ModelConfig;
use covey_model::cost::FlopsPerToken;

use super::datasets::{check_fit, common_tokenizer, open_datasets, sampler};
use super::hub_config::{hub_config, tokenizer_files};
use super::initial_weights::Start;
use super::metrics::{EvalReport, MetricsEntry, MetricsLog, StepReport, resident_memory};
use super::progress::TrainProgress;
use super::throughput::RunClock;
use crate::config::layers::Resolved;
use crate::config::schema::Config;
use crate::eval::HeldOut;
use crate::system::logging;
use crate::system::terminal::output::say;
use crate::training::checkpoint::write::{CheckpointOptions, CheckpointWriter};
use crate::training::checkpoint::{Checkpoint, CheckpointError, Snapshot, TrainingState};
use crate::training::learner::{Learner, StepOutcome};

/// The end of a training loop.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingOutcome {
    /// Completed steps.
    pub step: u64,
    /// True after the last step, false if the loop was interrupted.
    pub finished: bool,
    /// First evaluation since the start or resume.
    pub first: Option<EvalReport>,
    /// Last evaluation since the start or resume.
    pub last: Option<EvalReport>,
    /// The newest checkpoint that this loop has written.
    pub checkpoint: Option<PathBuf>,
}

/// A training run on one machine, ready to start or continue.
///
/// The losses are a function of configuration and data: a run that is interrupted and resumed has
/// the same losses and weights as one that is not.
pub struct TrainingLoop {
    config: Config,
    run_toml: String,
    learner: Learner,
    /// True if the run starts from the beginning; the untrained model is then evaluated first.
    is_new: bool,
    loader: PrefetchLoader,
    /// Position of the next batch. The loader itself is ahead by the prefetched batches.
    cursor: Cursor,
    /// `None` if `train.eval_every` is off.
    held_out: Option<HeldOut>,
    tokenizer: Tokenizer,
    checkpoints: CheckpointWriter,
    metrics: MetricsLog,
    clock: RunClock,
    flops_per_token: f64,
    peak: f64,
}

impl TrainingLoop {
    /// Opens the run of the configuration `resolved`, from the beginning or from a checkpoint.
    ///
    /// Errors in data, model and output folder are found here, before the first step.
    ///
    /// # Errors
    /// Data that cannot be read or does not fit the model, too little memory, an output folder that
    /// cannot be written or is in use.
    pub fn open(resolved: &Resolved, from: Option<&Checkpoint>) -> Result<Self> {
        let config = resolved.config.clone();
        let datasets = open_datasets(&config)?;
        let tokenizer = common_tokenizer(&datasets)?;
        // The checks come before the output folder is touched: a wrong configuration leaves no
        // trace.
        let start = Start::find(&config, &tokenizer, from)?;
        check_fit(&start.model, &tokenizer, &config)?;
        Learner::check(&start.model, &config)?;
        let sampler = sampler(&config, &datasets, from)?;
        let length = config.data.sequence_length;
        let held_out = held_out(&config, &datasets)?;

        let mut checkpoints = CheckpointWriter::open(&config.run.output, options(&config)?)?;
        logging::open_file(&config.run.output)?;
        let learner = start.learner(&config)?;
        let (metrics, before) = open_metrics(&config, &mut checkpoints, from)?;
        Ok(Self {
            run_toml: config.to_toml(),
            is_new: from.is_none(),
            cursor: sampler.cursor().clone(),
            loader: PrefetchLoader::start(sampler, config.train.batch_size, config.data.prefetch)?,
            flops_per_token: FlopsPerToken::new(learner.model(), length).total(),
            peak: learner.measured_peak(),
            clock: RunClock::new(before, learner.tokens()),
            config,
            learner,
            held_out,
            tokenizer,
            checkpoints,
            metrics,
        })
    }

    /// Planned peak of each device in bytes.
    pub fn memory(&self) -> u64 {
        self.learner.memory()
    }

    /// The model configuration.
    pub fn model(&self) -> &ModelConfig {
        self.learner.model()
    }

    /// Trains until the last step or until `interrupt` is set, and saves a checkpoint at the end.
    ///
    /// # Errors
    /// A batch that cannot be read, a gradient that is not finite, or a disk that cannot be
    /// written.
    pub fn train(mut self, interrupt: &AtomicBool) -> Result<TrainingOutcome> {
        let total = self.config.train.steps;
        let (step, tokens) = (self.learner.steps(), self.learner.tokens());
        tracing::info!(step, total, tokens, "training");
        let progress = TrainProgress::new(total, self.learner.steps());
        let mut outcome =
            TrainingOutcome { step: 0, finished: false, first: None, last: None, checkpoint: None };
        if self.is_new {
            self.evaluate(&progress, &mut outcome)?;
        }
        self.clock.report(self.learner.tokens());
        // A resumed run is saved already, so an immediate interrupt writes nothing.
        let mut saved = (!self.is_new).then(|| self.learner.steps());
        while self.learner.steps() < total && !interrupt.load(Ordering::SeqCst) {
            self.step(&progress)?;
            let step = self.learner.steps();
            if self.is_due(self.config.train.eval_every, step) {
                self.evaluate(&progress, &mut outcome)?;
            }
            if self.is_due(Some(self.config.checkpoint.every), step) {
                outcome.checkpoint = self.save()?.or(outcome.checkpoint);
                saved = Some(step);
            }
        }
        outcome.step = self.learner.steps();
        outcome.finished = outcome.step == total;
        tracing::info!(step = outcome.step, finished = outcome.finished, "training ended");
        if saved != Some(outcome.step) {
            outcome.checkpoint = self.save()?.or(outcome.checkpoint);
        }
        outcome.checkpoint = self.checkpoints.wait()?.or(outcome.checkpoint);
        progress.finish();
        Ok(outcome)
    }

    /// Returns true if an action is due: at multiples of `every` and at the last step.
    fn is_due(&self, every: Option<u64>, step: u64) -> bool {
        every.is_some_and(|every| step.is_multiple_of(every) || step == self.config.train.steps)
    }

    fn step(&mut self, progress: &TrainProgress) -> Result<()> {
        let batch = self.loader.next_batch()?;
        let outcome = self.learner.step(&batch.tokens, batch.length)?;
        self.cursor = batch.cursor;
        // A failed save stops training now and not at the next save, hours later.
        self.checkpoints.poll()?;
        let report = self.report(outcome);
        progress.step(&report);
        // The first step is always recorded: it is the baseline for all others.
        if report.step == 1 || self.is_due(Some(self.config.train.log_every), report.step) {
            let (step, loss, tokens_per_second) =
                (report.step, report.loss, report.tokens_per_second);
            tracing::debug!(step, loss, tokens_per_second, "step");
            self.metrics.record(&MetricsEntry::Step(report))?;
            self.clock.report(self.learner.tokens());
        }
        Ok(())
    }

    fn report(&self, outcome: StepOutcome) -> StepReport {
        let tokens = self.learner.tokens();
        let tokens_per_second = self.clock.tokens_per_second(tokens);
        StepReport {
            step: self.learner.steps(),
            tokens,
            loss: outcome.loss,
            grad_norm: outcome.grad_norm,
            learning_rate: outcome.learning_rate,
            tokens_per_second,
            mfu: Some(tokens_per_second * self.flops_per_token / self.peak),
            elapsed: self.clock.elapsed().as_secs_f64(),
            memory: resident_memory(),
        }
    }

    fn evaluate(&mut self, progress: &TrainProgress, outcome: &mut TrainingOutcome) -> Result<()> {
        let Some(held_out) = &self.held_out else { return Ok(()) };
        let start = Instant::now();
        // Not interruptible: the metrics of a resumed run must equal those of an uninterrupted one.
        let score = held_out.score(&mut self.learner, &AtomicBool::new(false), |_| {})?;
        let report = EvalReport {
            step: self.learner.steps(),
            loss: score.loss(),
            bits_per_byte: score.bits_per_byte(),
            perplexity: score.perplexity(),
        };
        self.metrics.record(&MetricsEntry::Eval(report.clone()))?;
        let elapsed = start.elapsed();
        tracing::info!(step = report.step, loss = report.loss, ?elapsed, "evaluated");
        progress.note(&format!(
            "step {}: held-out loss {:.4}, {:.4} bits per byte, perplexity {:.1}",
            report.step, report.loss, report.bits_per_byte, report.perplexity
        ));
        outcome.first.get_or_insert_with(|| report.clone());
        outcome.last = Some(report);
        self.clock.exclude(start.elapsed());
        Ok(())
    }

    fn save(&mut self) -> Result<Option<PathBuf>> {
        let snapshot = self.snapshot().context("cannot take a snapshot")?;
        tracing::info!(step = self.learner.steps(), "saving a checkpoint");
        Ok(self.checkpoints.save(snapshot)?)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let (optimizer_steps, moments) = self.learner.saved_moments();
        let state = TrainingState {
            step: self.learner.steps(),
            optimizer_steps,
            tokens: self.learner.tokens(),
            seed: self.config.run.seed,
            elapsed: self.clock.elapsed(),
            cursor: serde_json::to_value(&self.cursor)?,
            // The learning rate is a function of the step and the configuration.
            schedule: serde_json::Value::Null,
        };
        Ok(Snapshot {
            state,
            weights: self.learner.saved_weights(),
            moments,
            error_feedback: Vec::new(),
            model_config: hub_config(self.model(), &self.tokenizer).to_json(),
            run_config: self.run_toml.clone(),
            extra_files: tokenizer_files(&self.tokenizer),
        })
    }
}

/// Opens the metrics of a run, and returns the training time before this start.
///
/// On a resume, later metrics are removed, and later checkpoints are set aside.
fn open_metrics(
    config: &Config,
    checkpoints: &mut CheckpointWriter,
    from: Option<&Checkpoint>,
) -> Result<(MetricsLog, Duration)> {
    let folder = &config.run.output;
    let Some(checkpoint) = from else { return Ok((MetricsLog::create(folder)?, Duration::ZERO)) };
    let state = checkpoint.state();
    set_aside_later(checkpoints, state.step)?;
    Ok((MetricsLog::resume(folder, state.step)?, state.elapsed))
}

/// Sets all checkpoints of later steps than `step` aside, and reports their new paths to the user.
pub(crate) fn set_aside_later(
    checkpoints: &mut CheckpointWriter,
    step: u64,
) -> Result<(), CheckpointError> {
    // The run will write checkpoints of these steps again.
    for path in checkpoints.set_aside_after(step)? {
        say(&format!("kept a later checkpoint as {}", path.display()));
    }
    Ok(())
}

fn options(config: &Config) -> Result<CheckpointOptions> {
    let keep =
        NonZeroUsize::new(config.checkpoint.keep).context("checkpoint.keep is at least 1")?;
    Ok(CheckpointOptions { keep, ..CheckpointOptions::default() })
}

/// The held-out windows; `None` if `train.eval_every` is off.
fn held_out(config: &Config, datasets: &[Dataset]) -> Result<Option<HeldOut>> {
    if config.train.eval_every.is_none() {
        return Ok(None);
    }
    let (length, most) = (config.data.sequence_length, config.data.held_out_windows as u64);
    Ok(Some(HeldOut::new(datasets, length, most, config.train.micro_batch_size)?))
}
