//! The records of a peer: checkpoints, metrics, and progress lines.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use super::inner_phase::StepLine;
use super::resume_state::Present;
use crate::config::schema::Config;
use crate::run::spec::RunSpec;
use crate::system::error::{Context, Result};
use crate::system::logging;
use crate::system::terminal::bytes;
use crate::training::checkpoint::write::{CheckpointOptions, CheckpointWriter};
use crate::training::{
    EvalReport, MetricsEntry, MetricsLog, RoundReport, StepReport, TrainProgress, resident_memory,
    set_aside_later,
};

/// The open checkpoints, metrics and progress lines of a peer.
pub(crate) struct Recorder {
    checkpoints: CheckpointWriter,
    metrics: MetricsLog,
    progress: TrainProgress,
    run_toml: String,
    log_every: u64,
    before: Duration,
    start: Instant,
}

/// The position at which the records of a peer continue.
pub(crate) struct ResumePoint {
    /// Inner steps of this peer so far.
    pub(crate) steps: u64,
    /// The next round to be decided.
    pub(crate) round: u32,
    /// Time spent before this start.
    pub(crate) elapsed: Duration,
}

impl Recorder {
    /// Opens the records in the folder of the peer. With a resume point, later metrics are removed
    /// and later checkpoints are set aside.
    pub(crate) fn open(
        config: &Config,
        shown: u64,
        resume_point: Option<&ResumePoint>,
    ) -> Result<Self> {
        let folder: &Path = &config.run.output;
        let keep =
            NonZeroUsize::new(config.checkpoint.keep).context("checkpoint.keep is at least 1")?;
        let options = CheckpointOptions { keep, ..CheckpointOptions::default() };
        let mut checkpoints = CheckpointWriter::open(folder, options)?;
        logging::open_file(folder)?;
        // Without a resume point, no checkpoint is readable. They are kept under other names: one
        // with a higher step would later be taken for the newest, but only the user can decide to
        // delete it.
        set_aside_later(&mut checkpoints, resume_point.map_or(0, |point| point.steps))?;
        let metrics = match resume_point {
            Some(point) => MetricsLog::resume_in_round(folder, point.steps, point.round)?,
            None => MetricsLog::create(folder)?,
        };
        Ok(Self {
            checkpoints,
            metrics,
            progress: TrainProgress::new(config.train.steps, shown),
            run_toml: config.to_toml(),
            log_every: config.train.log_every,
            before: resume_point.map_or(Duration::ZERO, |resume_point| resume_point.elapsed),
            start: Instant::now(),
        })
    }

    /// Time spent over all starts.
    pub(crate) fn elapsed(&self) -> Duration {
        self.before + self.start.elapsed()
    }

    /// Writes a checkpoint, and returns once it is on disk.
    ///
    /// This must happen before anything of the delta is published. A round can be decided while its
    /// peer is down, and the peer must then continue with exactly the published bytes.
    pub(crate) fn save(&mut self, present: Present<'_>, spec: &RunSpec) -> Result<()> {
        let snapshot = present.snapshot(spec, self.run_toml.clone())?;
        let start = Instant::now();
        self.checkpoints.save(snapshot)?;
        self.checkpoints.wait()?;
        tracing::debug!(elapsed = ?start.elapsed(), "saved a checkpoint");
        Ok(())
    }

    /// Waits until all records are on disk.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.checkpoints.wait()?;
        self.progress.finish();
        Ok(())
    }

    /// Records a step of this peer.
    pub(crate) fn step(&mut self, line: StepLine) -> Result<()> {
        let StepLine { outcome, own: (step, tokens), shown, tokens_per_second } = line;
        let report = StepReport {
            step,
            tokens,
            loss: outcome.loss,
            grad_norm: outcome.grad_norm,
            learning_rate: outcome.learning_rate,
            tokens_per_second,
            mfu: None,
            elapsed: self.elapsed().as_secs_f64(),
            memory: resident_memory(),
        };
        self.progress.step(&StepReport { step: shown, ..report.clone() });
        // The first step is always recorded, so a new run shows a loss at once.
        if step == 1 || step.is_multiple_of(self.log_every) {
            self.metrics.record(&MetricsEntry::Step(report))?;
        }
        Ok(())
    }

    /// Records a decided and applied round.
    pub(crate) fn round(&mut self, report: RoundReport) -> Result<()> {
        let weights = report.weights.get(..8).unwrap_or_default();
        tracing::info!(
            round = report.round,
            included = report.included,
            excluded = report.excluded,
            own = report.own,
            bytes_sent = report.bytes_sent,
            bytes_received = report.bytes_received,
            weights,
            "applied a round"
        );
        self.progress.note(&format!(
            "round {}: {} of {} deltas, ours {}; {} up, {} down; weights {weights}",
            report.round,
            report.included,
            report.included + report.excluded,
            report.own,
            bytes(report.bytes_sent as f64),
            bytes(report.bytes_received as f64),
        ));
        Ok(self.metrics.record(&MetricsEntry::Round(report))?)
    }

    /// Records a loss on held-out text.
    pub(crate) fn evaluation(&mut self, report: EvalReport, shown: u64) -> Result<()> {
        self.progress.note(&format!(
            "step {shown}: held-out loss {:.4}, {:.4} bits per byte, perplexity {:.1}",
            report.loss, report.bits_per_byte, report.perplexity
        ));
        Ok(self.metrics.record(&MetricsEntry::Eval(report))?)
    }

    /// Prints a progress line.
    pub(crate) fn note(&self, text: &str) {
        self.progress.note(text);
    }
}
