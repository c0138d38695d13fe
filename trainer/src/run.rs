//! A training run on one machine: opened from its configuration, or from where it stopped, and carried to its end.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use covey_data::{Cursor, Dataset, Loader, Sampler, Source, Split, Tokenizer};
use covey_model::hub::{HubConfig, NumberFormat, TokenIds};
use covey_model::{Decoder, FlopsPerToken, Initializer, ModelConfig, Weights};
use covey_optim::{AdamWState, Moments};

use crate::checkpoint::{Checkpoint, CheckpointOptions, CheckpointWriter, ExtraFile, Snapshot, TrainingState};
use crate::commands::say;
use crate::config::{Config, Resolved};
use crate::device;
use crate::diagnostics::UsageError;
use crate::evaluation::HeldOut;
use crate::learner::{Learner, StepOutcome};
use crate::metrics::{Entry, EvalReport, MetricsLog, StepReport, resident_memory};
use crate::model_folder::{ModelFolder, flat_tensor};
use crate::progress::TrainProgress;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
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
pub struct Run {
    config: Config,
    run_toml: String,
    learner: Learner,
    /// Whether this start is the first, so that the untrained model is still to be measured.
    begins: bool,
    loader: Loader,
    cursor: Cursor,
    held_out: HeldOut,
    tokenizer: Tokenizer,
    checkpoints: CheckpointWriter,
    metrics: MetricsLog,
    clock: RunClock,
    flops_per_token: f64,
    peak: f64,
}

/// Time and tokens behind the run's figures.
struct RunClock {
    before: Duration,
    start: Instant,
    /// Time and tokens at the last report.
    last: (Instant, u64),
}

impl RunClock {
    fn new(before: Duration, tokens: u64) -> Self {
        let start = Instant::now();
        Self { before, start, last: (start, tokens) }
    }

    /// Time spent training, over all starts.
    fn elapsed(&self) -> Duration {
        self.before + self.start.elapsed()
    }

    fn tokens_per_second(&self, tokens: u64) -> f64 {
        let (time, before) = self.last;
        (tokens - before) as f64 / time.elapsed().as_secs_f64().max(1e-9)
    }

    fn report(&mut self, tokens: u64) {
        self.last = (Instant::now(), tokens);
    }
}

impl Run {
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
        let device = device::open(&config.run.device)?;
        let start = Start::find(&config, &tokenizer, from)?;
        check_fit(&start.model, &tokenizer, &config)?;
        let sampler = sampler(&config, &datasets, from)?;
        let length = config.data.sequence_length;
        let held_out =
            HeldOut::new(&datasets[0], length, config.data.held_out_windows as u64, config.train.micro_batch_size)?;

        let folder = config.run.output.clone();
        let options = CheckpointOptions {
            keep: NonZeroUsize::new(config.checkpoint.keep).context("checkpoint.keep is at least 1")?,
            ..CheckpointOptions::default()
        };
        let mut checkpoints = CheckpointWriter::open(&folder, options)?;
        let learner = start.learner(&config, &device)?;
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
            loader: Loader::start(sampler, config.train.batch_size, config.data.prefetch)?,
            flops_per_token: FlopsPerToken::new(learner.decoder().config(), length).total(),
            peak: device::measured_peak(&device),
            clock: RunClock::new(before, learner.tokens()),
            config,
            learner,
            held_out,
            tokenizer,
            checkpoints,
            metrics,
        })
    }

    /// The network's shape.
    pub fn model(&self) -> &ModelConfig {
        self.learner.decoder().config()
    }

    /// Trains until all steps are done or `interrupt` is raised, and saves before it returns.
    ///
    /// # Errors
    /// A batch that cannot be read, numbers that are no longer finite, or a disk that cannot be written.
    pub fn train(mut self, interrupt: &AtomicBool) -> anyhow::Result<Outcome> {
        let total = self.config.train.steps;
        let progress = TrainProgress::new(total, self.learner.steps());
        let mut outcome = Outcome { step: 0, finished: false, first: None, last: None, checkpoint: None };
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
        let outcome = self.learner.step(&batch)?;
        self.cursor = batch.cursor;
        self.checkpoints.poll()?;
        let report = self.report(outcome);
        progress.step(&report);
        if self.is_due(Some(self.config.train.log_every), report.step) {
            self.metrics.record(&Entry::Step(report))?;
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

    fn evaluate(&mut self, progress: &TrainProgress, outcome: &mut Outcome) -> anyhow::Result<()> {
        let start = Instant::now();
        let score =
            self.held_out.score(self.learner.decoder(), self.learner.weights(), &AtomicBool::new(false), |_| {})?;
        let report = EvalReport {
            step: self.learner.steps(),
            loss: score.loss(),
            bits_per_byte: score.bits_per_byte(),
            perplexity: score.perplexity(),
        };
        self.metrics.record(&Entry::Eval(report.clone()))?;
        progress.note(&format!(
            "step {}: held-out loss {:.4}, {:.4} bits per byte, perplexity {:.1}",
            report.step, report.loss, report.bits_per_byte, report.perplexity
        ));
        outcome.first.get_or_insert_with(|| report.clone());
        outcome.last = Some(report);
        // Measuring is not training: it must not make training look slow.
        self.clock.last.0 += start.elapsed();
        Ok(())
    }

    fn save(&mut self) -> anyhow::Result<Option<PathBuf>> {
        let snapshot = self.snapshot().context("cannot take a snapshot")?;
        Ok(self.checkpoints.save(snapshot)?)
    }

    fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let (optimizer_steps, moments) = self.learner.moments();
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
            weights: self.learner.named_weights(),
            moments,
            model_config: hub_config(self.model(), &self.tokenizer).to_json(),
            run_config: self.run_toml.clone(),
            extra_files: tokenizer_files(&self.tokenizer),
        })
    }
}

/// Where weights, moments and counters of a run come from.
struct Start<'a> {
    model: ModelConfig,
    trained: Option<ModelFolder>,
    checkpoint: Option<&'a Checkpoint>,
}

impl<'a> Start<'a> {
    fn find(config: &Config, tokenizer: &Tokenizer, checkpoint: Option<&'a Checkpoint>) -> anyhow::Result<Self> {
        if let Some(checkpoint) = checkpoint {
            let path = checkpoint.path().join("config.json");
            let model = HubConfig::parse(checkpoint.model_config(), &path)?.model;
            check_same_shape(config, tokenizer, &model, checkpoint.path())?;
            return Ok(Self { model, trained: None, checkpoint: Some(checkpoint) });
        }
        if let Some(folder) = &config.model.from {
            let trained = ModelFolder::open(folder, |warning| say(&warning))?;
            check_same_tokenizer(&trained, tokenizer)?;
            return Ok(Self { model: trained.config().model.clone(), trained: Some(trained), checkpoint: None });
        }
        let shape = config.model.shape.as_ref().context("a model is either a folder or a shape")?;
        Ok(Self { model: shape.model_config(tokenizer.vocab_size())?, trained: None, checkpoint: None })
    }

    fn learner(self, config: &Config, device: &burn::tensor::Device) -> anyhow::Result<Learner> {
        let weights = self.weights(config, device)?;
        let parameters = self.model.parameters();
        let learner = Learner::new(Decoder::new(self.model, device), weights, config);
        let Some(checkpoint) = self.checkpoint else { return Ok(learner) };
        let state = checkpoint.state();
        let mut moments = Vec::new();
        for spec in parameters.iter() {
            if let Some(own) = checkpoint.moments(&spec.name)? {
                moments.push(Moments { first: own.first, second: own.second });
            }
        }
        let optimizer = AdamWState { steps: state.optimizer_steps, moments };
        Ok(learner.at(state.step, state.tokens, optimizer, config))
    }

    fn weights(&self, config: &Config, device: &burn::tensor::Device) -> anyhow::Result<Weights> {
        let parameters = self.model.parameters();
        if let Some(checkpoint) = self.checkpoint {
            return parameters.try_map(|spec| Ok(flat_tensor(checkpoint.weight(&spec.name)?.values, device)));
        }
        if let Some(trained) = &self.trained {
            return Ok(trained.weights(device)?);
        }
        let initializer = Initializer::new(config.run.seed, &self.model);
        Ok(parameters.map(|spec| flat_tensor(initializer.tensor(spec), device)))
    }
}

fn open_datasets(config: &Config) -> anyhow::Result<Vec<Dataset>> {
    let open = |source: &crate::config::Source| {
        let dataset = Dataset::open(&source.path)?;
        // Wrong tokens would be learned without a word; reading them all once is little beside learning them.
        dataset.verify()?;
        Ok(dataset)
    };
    config.data.sources.iter().map(open).collect()
}

/// The tokenizer of all sources.
fn common_tokenizer(datasets: &[Dataset]) -> anyhow::Result<Tokenizer> {
    let first = datasets.first().ok_or_else(|| UsageError::new("there is no data to train on"))?;
    if let Some(other) = datasets.iter().find(|other| other.manifest().tokenizer != first.manifest().tokenizer) {
        let (one, two) = (first.folder().display(), other.folder().display());
        let problem = UsageError::new(format!("{one} and {two} were prepared with different tokenizers"));
        return Err(problem.with_hint("prepare all sources with one `tokenizer.json`").into());
    }
    Ok(first.tokenizer()?)
}

/// A run that goes on keeps its network, so a configuration of another one would say what is not so.
fn check_same_shape(
    config: &Config,
    tokenizer: &Tokenizer,
    model: &ModelConfig,
    checkpoint: &Path,
) -> anyhow::Result<()> {
    let Some(shape) = &config.model.shape else { return Ok(()) };
    if shape.model_config(tokenizer.vocab_size())? == *model {
        return Ok(());
    }
    let path = checkpoint.display();
    let problem = UsageError::new(format!("the configuration describes another network than the one in {path}"));
    Err(problem.with_hint("leave the keys of `model` as they were, or begin a new run in another folder").into())
}

fn check_same_tokenizer(trained: &ModelFolder, tokenizer: &Tokenizer) -> anyhow::Result<()> {
    if !trained.has_tokenizer() || trained.tokenizer()?.digest() == tokenizer.digest() {
        return Ok(());
    }
    let folder = trained.path().display();
    let problem = UsageError::new(format!("the data was prepared with another tokenizer than {folder}"));
    Err(problem.with_hint("prepare it with the tokenizer.json of that folder").into())
}

/// The data's ids and windows must fit the network.
fn check_fit(model: &ModelConfig, tokenizer: &Tokenizer, config: &Config) -> anyhow::Result<()> {
    let (vocab, known) = (tokenizer.vocab_size(), model.vocab_size);
    if vocab > known {
        let problem = UsageError::new(format!(
            "the data has token ids up to {}, the model knows {known}",
            vocab.saturating_sub(1)
        ));
        let hint =
            "leave `model.vocab_size` out to take it from the data, or prepare the data with the model's tokenizer";
        return Err(problem.with_hint(hint).into());
    }
    let (length, positions) = (config.data.sequence_length, model.max_positions);
    if length > positions {
        let problem =
            UsageError::new(format!("data.sequence_length = {length}, but the model has {positions} positions"));
        return Err(problem.with_hint(format!("use `--set data.sequence_length={positions}`")).into());
    }
    Ok(())
}

fn sampler(config: &Config, datasets: &[Dataset], from: Option<&Checkpoint>) -> anyhow::Result<Sampler> {
    let sources = datasets.iter().zip(&config.data.sources).map(|(dataset, source)| {
        let windows = dataset.windows(Split::Train, config.data.sequence_length)?;
        Ok(Source { windows, weight: source.weight })
    });
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    let Some(checkpoint) = from else { return Ok(Sampler::new(sources, config.run.seed)?) };
    let cursor: Cursor = serde_json::from_value(checkpoint.state().cursor.clone())
        .with_context(|| format!("the data cursor of {} cannot be read", checkpoint.path().display()))?;
    if cursor.seed != config.run.seed {
        let problem =
            UsageError::new(format!("run.seed = {}, but the run began with {}", config.run.seed, cursor.seed));
        return Err(problem.with_hint("leave the seed out to go on with the run's own").into());
    }
    Ok(Sampler::resume(sources, cursor)?)
}

/// The Hub's description of a network trained with `tokenizer`.
pub fn hub_config(model: &ModelConfig, tokenizer: &Tokenizer) -> HubConfig {
    let end = tokenizer.end_of_text();
    HubConfig {
        model: model.clone(),
        token_ids: TokenIds { bos: end, eos: end.into_iter().collect() },
        format: Some(NumberFormat::Fp32),
        tying_is_stated: true,
    }
}

/// The files of a tokenizer, as `transformers` expects them.
fn tokenizer_files(tokenizer: &Tokenizer) -> Vec<ExtraFile> {
    tokenizer.files().into_iter().map(|(name, bytes)| ExtraFile { name: name.to_owned(), bytes }).collect()
}
