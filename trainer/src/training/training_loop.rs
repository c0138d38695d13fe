//! A training run on one machine: opened from its configuration, or from where it stopped, and carried to its end.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use covey_data::sampling::{Cursor, PrefetchLoader};
use covey_data::tokenizer::Tokenizer;
use covey_model::config::ModelConfig;
use covey_model::cost::FlopsPerToken;
use covey_model::hub::{FloatDtype, HubConfig, TokenIds};

use super::datasets::{check_fit, common_tokenizer, open_datasets, sampler};
use super::initial_weights::Start;
use super::metrics::{EvalReport, MetricsEntry, MetricsLog, StepReport, resident_memory};
use super::progress::TrainProgress;
use super::throughput::RunClock;
use crate::config::layers::Resolved;
use crate::config::schema::Config;
use crate::eval::HeldOut;
use crate::training::checkpoint::write::{CheckpointOptions, CheckpointWriter};
use crate::training::checkpoint::{Checkpoint, ExtraFile, Snapshot, TrainingState};
use crate::training::learner::{Learner, StepOutcome};

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingOutcome {
    /// Steps done.
    pub step: u64,
    /// Whether these are all; if not, it was interrupted.
    pub finished: bool,
    /// First measurement of this start.
    pub first: Option<EvalReport>,
    /// Last measurement of this start.
    pub last: Option<EvalReport>,
    /// The newest checkpoint.
    pub checkpoint: Option<PathBuf>,
}

/// A run that is ready to go on.
pub struct TrainingLoop {
    config: Config,
    run_toml: String,
    learner: Learner,
    /// Whether this start is the first, so that the untrained model is still to be measured.
    begins: bool,
    loader: PrefetchLoader,
    cursor: Cursor,
    /// What it is measured on; nothing if it never is.
    held_out: Option<HeldOut>,
    tokenizer: Tokenizer,
    checkpoints: CheckpointWriter,
    metrics: MetricsLog,
    clock: RunClock,
    flops_per_token: f64,
    peak: f64,
}

impl TrainingLoop {
    /// Opens the run that `resolved` describes; from its beginning, or from a checkpoint of it.
    ///
    /// Everything that can be wrong with data, model or folder is found here, before any work is done.
    ///
    /// # Errors
    /// Data that cannot be read or does not fit the model, a folder that cannot be written or is taken.
    pub fn open(resolved: &Resolved, from: Option<&Checkpoint>) -> anyhow::Result<Self> {
        let config = resolved.config.clone();
        let datasets = open_datasets(&config)?;
        let tokenizer = common_tokenizer(&datasets)?;
        let start = Start::find(&config, &tokenizer, from)?;
        check_fit(&start.model, &tokenizer, &config)?;
        Learner::check(&start.model, &config)?;
        let sampler = sampler(&config, &datasets, from)?;
        let length = config.data.sequence_length;
        let most = config.data.held_out_windows as u64;
        let is_measured = config.train.eval_every.is_some();
        let held_out = is_measured
            .then(|| HeldOut::new(&datasets, length, most, config.train.micro_batch_size))
            .transpose()?;

        let folder = config.run.output.clone();
        let options = CheckpointOptions {
            keep: NonZeroUsize::new(config.checkpoint.keep)
                .context("checkpoint.keep is at least 1")?,
            ..CheckpointOptions::default()
        };
        let mut checkpoints = CheckpointWriter::open(&folder, options)?;
        let learner = start.learner(&config)?;
        let (metrics, before) = match from {
            Some(checkpoint) => {
                checkpoints.discard_after(checkpoint.state().step)?;
                (MetricsLog::resume(&folder, checkpoint.state().step)?, checkpoint.state().elapsed)
            }
            None => (MetricsLog::create(&folder)?, Duration::ZERO),
        };
        Ok(Self {
            run_toml: config.to_toml(),
            begins: from.is_none(),
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

    /// Bytes that each device holds at its peak, roughly.
    pub fn memory(&self) -> u64 {
        self.learner.memory()
    }

    /// The network's shape.
    pub fn model(&self) -> &ModelConfig {
        self.learner.model()
    }

    /// Trains until all steps are done or `interrupt` is raised, and saves before it returns.
    ///
    /// # Errors
    /// A batch that cannot be read, numbers that are no longer finite, or a disk that cannot be written.
    pub fn train(mut self, interrupt: &AtomicBool) -> anyhow::Result<TrainingOutcome> {
        let total = self.config.train.steps;
        let progress = TrainProgress::new(total, self.learner.steps());
        let mut outcome =
            TrainingOutcome { step: 0, finished: false, first: None, last: None, checkpoint: None };
        if self.begins {
            self.evaluate(&progress, &mut outcome)?;
        }
        self.clock.report(self.learner.tokens());
        let mut saved = (!self.begins).then(|| self.learner.steps());
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
        if saved != Some(outcome.step) {
            outcome.checkpoint = self.save()?.or(outcome.checkpoint);
        }
        outcome.checkpoint = self.checkpoints.wait()?.or(outcome.checkpoint);
        progress.finish();
        Ok(outcome)
    }

    /// Whether something that happens every so many steps, and at the end, happens after this one.
    fn is_due(&self, every: Option<u64>, step: u64) -> bool {
        every.is_some_and(|every| step.is_multiple_of(every) || step == self.config.train.steps)
    }

    fn step(&mut self, progress: &TrainProgress) -> anyhow::Result<()> {
        let batch = self.loader.next_batch()?;
        let outcome = self.learner.step(&batch.tokens, batch.length)?;
        self.cursor = batch.cursor;
        self.checkpoints.poll()?;
        let report = self.report(outcome);
        progress.step(&report);
        // The first step too: it is what the others are to be compared with.
        if report.step == 1 || self.is_due(Some(self.config.train.log_every), report.step) {
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

    fn evaluate(
        &mut self,
        progress: &TrainProgress,
        outcome: &mut TrainingOutcome,
    ) -> anyhow::Result<()> {
        let Some(held_out) = &self.held_out else { return Ok(()) };
        let start = Instant::now();
        let score = held_out.score(&mut self.learner, &AtomicBool::new(false), |_| {})?;
        let report = EvalReport {
            step: self.learner.steps(),
            loss: score.loss(),
            bits_per_byte: score.bits_per_byte(),
            perplexity: score.perplexity(),
        };
        self.metrics.record(&MetricsEntry::Eval(report.clone()))?;
        progress.note(&format!(
            "step {}: held-out loss {:.4}, {:.4} bits per byte, perplexity {:.1}",
            report.step, report.loss, report.bits_per_byte, report.perplexity
        ));
        outcome.first.get_or_insert_with(|| report.clone());
        outcome.last = Some(report);
        self.clock.leave_out(start.elapsed());
        Ok(())
    }

    fn save(&mut self) -> anyhow::Result<Option<PathBuf>> {
        let snapshot = self.snapshot().context("cannot take a snapshot")?;
        Ok(self.checkpoints.save(snapshot)?)
    }

    fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let (optimizer_steps, moments) = self.learner.saved_moments();
        let state = TrainingState {
            step: self.learner.steps(),
            optimizer_steps,
            tokens: self.learner.tokens(),
            seed: self.config.run.seed,
            elapsed: self.clock.elapsed(),
            cursor: serde_json::to_value(&self.cursor)?,
            // The learning rate is a pure function of the step and the config.
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

/// The Hub's description of a network trained with `tokenizer`.
pub fn hub_config(model: &ModelConfig, tokenizer: &Tokenizer) -> HubConfig {
    let end = tokenizer.end_of_text();
    HubConfig {
        model: model.clone(),
        token_ids: TokenIds { bos: end, eos: end.into_iter().collect() },
        format: Some(FloatDtype::Fp32),
        tying_is_stated: true,
    }
}

/// The files of a tokenizer, as `transformers` expects them.
pub(crate) fn tokenizer_files(tokenizer: &Tokenizer) -> Vec<ExtraFile> {
    tokenizer
        .files()
        .into_iter()
        .map(|(name, bytes)| ExtraFile { name: name.to_owned(), bytes })
        .collect()
}
