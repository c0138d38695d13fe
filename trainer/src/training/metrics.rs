//! `metrics.jsonl`: the measurements of a run, one JSON object per line.
//!
//! Each line has a `kind` (`step`, `eval`, `round`) and a `step`. A resumed run first removes the
//! lines after its checkpoint, so an interrupted run ends with the same lines as an uninterrupted
//! one. Only `tokens_per_second`, `mfu`, `elapsed`, `memory` and the seconds of rounds differ.

use crate::system::error::Hint;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Limit on the length of a line in bytes; the longest entries have about 600.
const MAX_LINE: u64 = 1 << 16;

/// One line of the metrics.
///
/// JSON has no NaN and no infinity, so they become `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetricsEntry {
    /// A training step.
    Step(StepReport),
    /// An evaluation on held-out text.
    Eval(EvalReport),
    /// A round of a distributed run.
    Round(RoundReport),
}

/// One training step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Completed steps, including this one.
    pub step: u64,
    /// Tokens seen since the start of the run.
    pub tokens: u64,
    /// Mean cross-entropy over the step's tokens, in nats.
    pub loss: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Speed since the previous report.
    pub tokens_per_second: f64,
    /// Model FLOPs utilization: share of the peak of the devices, if the peak is known.
    pub mfu: Option<f64>,
    /// Seconds spent in training, summed over all restarts.
    pub elapsed: f64,
    /// Resident memory of the process in bytes, if the system reports it.
    pub memory: Option<u64>,
}

/// One evaluation on held-out text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Completed steps at the time of the evaluation.
    pub step: u64,
    /// Mean cross-entropy per token, in nats.
    pub loss: f64,
    /// Cross-entropy per byte of text, in bits. Comparable between tokenizers.
    pub bits_per_byte: f64,
    /// Exponential of `loss`.
    pub perplexity: f64,
}

/// One round of a distributed run, as observed by one peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundReport {
    /// Completed inner steps of this peer.
    pub step: u64,
    /// Number of the round.
    pub round: u32,
    /// Outer steps so far, including this round. Rounds without included deltas are not counted.
    pub outer_steps: u64,
    /// Lineage after the round.
    pub lineage: String,
    /// Digest of the shared weights after the round.
    pub weights: String,
    /// Number of included deltas.
    pub included: usize,
    /// Number of excluded peers.
    pub excluded: usize,
    /// Outcome of this peer's delta: `included`, the reason for its exclusion, or `none`.
    pub own: String,
    /// Size of this peer's delta in bytes.
    pub bytes_sent: u64,
    /// Size of all downloaded deltas in bytes.
    pub bytes_received: u64,
    /// Seconds of inner steps; 0 in a round that the peer only replayed to catch up.
    pub train_seconds: f64,
    /// Seconds to compress, encode, publish, download, decode and apply deltas.
    pub exchange_seconds: f64,
    /// Seconds of waiting for other peers and validators.
    pub wait_seconds: f64,
}

/// A metrics file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct MetricsError {
    /// The failed operation.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// The error of the file system.
    pub source: io::Error,
}

impl Hint for MetricsError {
    fn hint(&self) -> Option<String> {
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
/// Each line is written with one call as soon as it is recorded, so other programs can follow it.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Path of the metrics of the run in folder `run`.
    pub fn path_in(run: &Path) -> PathBuf {
        run.join("metrics.jsonl")
    }

    /// Creates an empty log for a new run, and the folder if necessary.
    ///
    /// An existing log keeps its lines as `metrics.jsonl.set-aside-1`, or with the next free
    /// number.
    ///
    /// # Errors
    /// [`MetricsError`] if the file cannot be created or an existing one cannot be renamed.
    pub fn create(run: &Path) -> Result<Self, MetricsError> {
        let path = Self::path_in(run);
        set_aside(&path).map_err(|source| metrics_error("rename", &path, source))?;
        let created = fs::create_dir_all(run).and_then(|()| File::create(&path));
        let file = created.map_err(|source| metrics_error("create", &path, source))?;
        Ok(Self { path, file })
    }

    /// Opens the log of a run that continues after `step` steps.
    ///
    /// Keeps the lines up to that step. Removes the first later or incomplete line and all lines
    /// after it. Creates an empty log if there is none.
    ///
    /// # Errors
    /// [`MetricsError`] if the file cannot be read or truncated.
    pub fn resume(run: &Path, step: u64) -> Result<Self, MetricsError> {
        Self::resume_where(run, |line| line.step <= step)
    }

    /// [`MetricsLog::resume`] for a peer that has made `step` steps and waits for the manifest of
    /// `round`.
    ///
    /// # Errors
    /// As for [`MetricsLog::resume`].
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
        fs::create_dir_all(run).map_err(|source| metrics_error("create", &path, source))?;
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(|source| metrics_error("open", &path, source))?;
        // A rewrite of the kept lines could lose them in a crash; truncation cannot.
        let length =
            length_while(&file, stays).map_err(|source| metrics_error("read", &path, source))?;
        file.set_len(length).map_err(|source| metrics_error("truncate", &path, source))?;
        Ok(Self { path, file })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// [`MetricsError`] if the line cannot be written.
    pub fn record(&mut self, entry: &MetricsEntry) -> Result<(), MetricsError> {
        let mut line = serde_json::to_string(entry).expect("plain data always has a JSON form");
        // One call with the newline: a crash then leaves at most one incomplete line, at the end.
        line.push('\n');
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|source| metrics_error("write", &self.path, source))
    }
}

/// Renames an existing log with lines.
fn set_aside(path: &Path) -> io::Result<()> {
    let is_empty = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        existing => existing?.len() == 0,
    };
    if is_empty {
        return Ok(());
    }
    let mut number = 1;
    loop {
        let kept = path.with_extension(format!("jsonl.set-aside-{number}"));
        if !kept.try_exists()? {
            return fs::rename(path, kept);
        }
        number += 1;
    }
}

fn metrics_error(action: &'static str, path: &Path, source: io::Error) -> MetricsError {
    MetricsError { action, path: path.to_owned(), source }
}

/// The part of a line that decides if it is kept by a resumed run.
#[derive(Deserialize)]
struct LinePosition {
    step: u64,
    round: Option<u32>,
}

/// Length in bytes of the longest prefix of complete lines for which `stays` is true.
fn length_while(file: &File, stays: impl Fn(&LinePosition) -> bool) -> io::Result<u64> {
    let mut reader = BufReader::new(file);
    let (mut line, mut length) = (Vec::new(), 0);
    // Without the limit, a file without newlines would be read into memory as one line.
    while reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? > 0 {
        // The last write may lack only its newline; the next line would then be appended to it.
        if !line.ends_with(b"\n") || !serde_json::from_slice(&line).is_ok_and(|place| stays(&place))
        {
            break;
        }
        length += line.len() as u64;
        line.clear();
    }
    Ok(length)
}

/// Resident memory of this process in bytes; `None` if the system does not report it.
pub fn resident_memory() -> Option<u64> {
    // Linux only. Other systems need an unsafe call, and the figure is for information.
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
    fn a_resumed_log_equals_an_uninterrupted_one() {
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
    fn an_incomplete_last_line_is_removed() {
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
    fn a_new_log_loses_no_lines_of_an_earlier_one() {
        let run = tempfile::tempdir().unwrap();
        for last in 1..=3 {
            record(&mut MetricsLog::create(run.path()).unwrap(), 1..=last);
        }
        let lines = |name: &str| fs::read_to_string(run.path().join(name)).unwrap().lines().count();
        assert_eq!(lines("metrics.jsonl.set-aside-1"), 1);
        assert_eq!(lines("metrics.jsonl.set-aside-2"), 2);
        assert_eq!(lines("metrics.jsonl"), 3);
    }

    #[test]
    fn entries_are_read_back_bit_for_bit() {
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
    fn numbers_that_are_not_finite_become_null() {
        let run = tempfile::tempdir().unwrap();
        let diverged = StepReport { step: 1, loss: f64::NAN, ..StepReport::default() };
        MetricsLog::create(run.path()).unwrap().record(&MetricsEntry::Step(diverged)).unwrap();
        assert!(text(run.path()).contains("\"loss\":null"));
        MetricsLog::resume(run.path(), 1).unwrap();
        assert_eq!(text(run.path()).lines().count(), 1);
    }

    #[test]
    fn resident_memory_grows_with_an_allocation() {
        if let Some(before) = resident_memory() {
            let held = std::hint::black_box(vec![1_u8; 64 << 20]);
            let after = resident_memory().unwrap();
            assert!(after > before + (32 << 20), "{before} {after} {}", held.len());
        }
    }
}
