//! `metrics.jsonl`: what happened in a run, one JSON object a line.
//!
//! Every line has a `kind` (`step`, `eval`, `round`) and a `step`. Resuming
//! drops what lies after the checkpoint, so that a run that was killed has in
//! the end the same lines as one that was not; only `tokens_per_second`,
//! `mfu`, `elapsed`, `memory` and the seconds of rounds depend on the day.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One line of the metrics.
///
/// A number that is not finite becomes `null`, as JSON has no word for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetricsEntry {
    /// A training step was made.
    Step(StepReport),
    /// The model was measured on held-out text.
    Eval(EvalReport),
    /// A round with others was decided and applied.
    Round(RoundReport),
}

/// One training step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Tokens trained on since the run began.
    pub tokens: u64,
    /// Mean cross-entropy over the step's tokens, in nats.
    pub loss: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Speed since the report before.
    pub tokens_per_second: f64,
    /// Part of the device's peak that the model's own arithmetic reached, if the peak is known.
    pub mfu: Option<f64>,
    /// Seconds spent training since the run began, over all starts.
    pub elapsed: f64,
    /// Bytes of memory that the process holds, if the system tells.
    pub memory: Option<u64>,
}

/// One measurement on held-out text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Steps done when it was made.
    pub step: u64,
    /// Mean cross-entropy per token, in nats.
    pub loss: f64,
    /// The same per byte of text, in bits: comparable between tokenizers.
    pub bits_per_byte: f64,
    /// Exponential of `loss`.
    pub perplexity: f64,
}

/// One round with others, as one peer saw it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundReport {
    /// Inner steps that this peer has made.
    pub step: u64,
    /// The round.
    pub round: u32,
    /// Rounds so far that moved the weights, this one included.
    pub outer_steps: u64,
    /// Lineage after the round.
    pub lineage: String,
    /// Digest of the shared weights after the round.
    pub weights: String,
    /// Deltas that entered the model.
    pub included: usize,
    /// Peers that were left out.
    pub excluded: usize,
    /// What became of this peer's own delta: `included`, the reason it was left out for, or `none`.
    pub own: String,
    /// Bytes of this peer's delta.
    pub bytes_sent: u64,
    /// Bytes of the deltas that were fetched.
    pub bytes_received: u64,
    /// Seconds of inner steps; 0 in a round that was only caught up with.
    pub train_seconds: f64,
    /// Seconds to compress, encode, publish, fetch, decode and apply.
    pub exchange_seconds: f64,
    /// Seconds of waiting for others.
    pub wait_seconds: f64,
}

/// The metrics file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct MetricsError {
    /// What was tried.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// The file system's own words.
    pub source: io::Error,
}

impl MetricsError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("free some space, then continue with `--resume`".into())
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some("choose a folder that you may write to with `--output`".into())
            }
            _ => None,
        }
    }
}

/// The open `metrics.jsonl` of a run.
///
/// Every line is handed to the system whole as soon as it is recorded.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Where the metrics of the run in folder `run` are.
    pub fn path_in(run: &Path) -> PathBuf {
        run.join("metrics.jsonl")
    }

    /// An empty log for a run that begins, replacing an older one; makes the folder if need be.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(run: &Path) -> Result<Self, MetricsError> {
        let path = Self::path_in(run);
        let created = fs::create_dir_all(run).and_then(|()| File::create(&path));
        let file = created.map_err(|source| MetricsError {
            action: "create",
            path: path.clone(),
            source,
        })?;
        Ok(Self { path, file })
    }

    /// The log of a run that goes on after `step` steps.
    ///
    /// Keeps the lines up to that step, and drops from the first one that is
    /// later, or cut short by a crash. A log that is not there begins empty.
    ///
    /// # Errors
    /// If the file cannot be read or cut.
    pub fn resume(run: &Path, step: u64) -> Result<Self, MetricsError> {
        Self::resume_where(run, |line| line.step <= step)
    }

    /// The same for a peer that awaits the decision on `round`, having made `step` steps.
    ///
    /// # Errors
    /// If the file cannot be read or cut.
    pub fn resume_in_round(run: &Path, step: u64, round: u32) -> Result<Self, MetricsError> {
        Self::resume_where(run, |line| {
            line.step <= step && line.round.is_none_or(|decided| decided < round)
        })
    }

    fn resume_where(
        run: &Path,
        stays: impl Fn(&LinePosition) -> bool,
    ) -> Result<Self, MetricsError> {
        let path = Self::path_in(run);
        let failed = |action| {
            let path = path.clone();
            move |source| MetricsError { action, path, source }
        };
        fs::create_dir_all(run).map_err(failed("create"))?;
        let open = OpenOptions::new().create(true).read(true).append(true).open(&path);
        let file = open.map_err(failed("open"))?;
        let length = length_while(&file, stays).map_err(failed("read"))?;
        file.set_len(length).map_err(failed("cut"))?;
        Ok(Self { path, file })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn record(&mut self, entry: &MetricsEntry) -> Result<(), MetricsError> {
        let mut line = serde_json::to_string(entry).expect("plain data always has a JSON form");
        line.push('\n');
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|source| MetricsError { action: "write", path: self.path.clone(), source })
    }
}

/// The part of a line that decides whether it stays when a run goes on.
#[derive(Deserialize)]
struct LinePosition {
    step: u64,
    round: Option<u32>,
}

/// Bytes of the longest run of whole lines from the start that stay.
fn length_while(file: &File, stays: impl Fn(&LinePosition) -> bool) -> io::Result<u64> {
    let mut reader = BufReader::new(file);
    let (mut line, mut length) = (Vec::new(), 0);
    while reader.read_until(b'\n', &mut line)? > 0 {
        if !line.ends_with(b"\n") || !serde_json::from_slice(&line).is_ok_and(|place| stays(&place))
        {
            break;
        }
        length += line.len() as u64;
        line.clear();
    }
    Ok(length)
}

/// Bytes of memory that this process holds right now; `None` where the system does not tell.
pub fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    kibibytes.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64) -> MetricsEntry {
        MetricsEntry::Step(StepReport {
            step,
            loss: 1.0 / step as f64,
            mfu: Some(0.1 + 0.2),
            ..StepReport::default()
        })
    }

    fn record(log: &mut MetricsLog, steps: impl Iterator<Item = u64>) {
        steps.for_each(|number| log.record(&step(number)).unwrap());
    }

    fn text(run: &Path) -> String {
        fs::read_to_string(MetricsLog::path_in(run)).unwrap()
    }

    #[test]
    fn a_killed_and_resumed_log_equals_an_uninterrupted_one() {
        let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        record(&mut MetricsLog::create(whole.path()).unwrap(), 1..=40);
        let mut log = MetricsLog::create(killed.path()).unwrap();
        record(&mut log, 1..=23);
        log.file.write_all(br#"{"kind":"step","step":24,"lo"#).unwrap();
        drop(log);
        record(&mut MetricsLog::resume(killed.path(), 17).unwrap(), 18..=40);
        assert_eq!(text(killed.path()), text(whole.path()));
    }

    #[test]
    fn a_half_written_last_line_is_dropped_even_if_its_step_stays() {
        let run = tempfile::tempdir().unwrap();
        let mut log = MetricsLog::create(run.path()).unwrap();
        record(&mut log, 1..=2);
        let before = text(run.path());
        log.file.write_all(br#"{"kind":"eval","step":2,"loss":4.5,"bits"}"#).unwrap();
        drop(log);
        MetricsLog::resume(run.path(), 2).unwrap();
        assert_eq!(text(run.path()), before);
    }

    #[test]
    fn entries_read_back_bit_for_bit() {
        let run = tempfile::tempdir().unwrap();
        let eval = EvalReport { step: 3, loss: 2.0 / 3.0, bits_per_byte: 1.1, perplexity: 1e300 };
        let entries = [step(3), MetricsEntry::Eval(eval)];
        let mut log = MetricsLog::resume(run.path(), 0).unwrap();
        entries.iter().for_each(|entry| log.record(entry).unwrap());
        let read: Vec<MetricsEntry> =
            text(run.path()).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, entries);
    }

    #[test]
    fn a_number_that_is_not_finite_is_null() {
        let run = tempfile::tempdir().unwrap();
        let diverged = StepReport { step: 1, loss: f64::NAN, ..StepReport::default() };
        MetricsLog::create(run.path()).unwrap().record(&MetricsEntry::Step(diverged)).unwrap();
        assert!(text(run.path()).contains("\"loss\":null"));
        MetricsLog::resume(run.path(), 1).unwrap();
        assert_eq!(text(run.path()).lines().count(), 1);
    }

    #[test]
    fn memory_grows_when_more_is_held() {
        if let Some(before) = resident_memory() {
            let held = std::hint::black_box(vec![1_u8; 64 << 20]);
            let after = resident_memory().unwrap();
            assert!(after > before + (32 << 20), "{before} {after} {}", held.len());
        }
    }
}
