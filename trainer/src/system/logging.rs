//! The log: events with fields, on stderr if asked for, and in `run.log` of long-running commands.
//!
//! Lines for users (progress, results, warnings) go to stderr directly and are not part of the
//! log.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::{Layer, MakeWriter};
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use super::error::UsageError;
use crate::system::error::{Context, Result};

/// Name of the log file in the output folder.
pub const FILE_NAME: &str = "run.log";

/// Size at which a log file is rotated: a week of rounds fits, and any editor opens it.
const MAX_BYTES: usize = 16 << 20;

/// Rotated files that are kept next to the current one: `run.log.1` to `run.log.4`.
const KEPT_FILES: usize = 4;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text per event.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The file of this process. Until a command opens it, events are not written to a file.
static FILE: OnceLock<Mutex<FileRotate<AppendCount>>> = OnceLock::new();

/// Installs the log of this process. `filter` selects the events on stderr: a level such as
/// `debug`, or a filter such as `covey_comms=debug`; `None` keeps the log off stderr. `run.log` has
/// all events of the filter, and at least level `info`.
///
/// # Errors
/// A filter that cannot be parsed.
pub fn init(filter: Option<&str>, format: LogFormat) -> Result<()> {
    let stderr = filter.map(parse_filter).transpose()?;
    let file = match filter {
        Some(filter) => parse_filter(&format!("info,{filter}"))?,
        None => EnvFilter::default().add_directive(LevelFilter::INFO.into()),
    };
    let layers = [
        stderr.map(|filter| layer(io::stderr, format).with_filter(filter).boxed()),
        Some(layer(RunLog, format).with_filter(file).boxed()),
    ];
    let layers: Vec<_> = layers.into_iter().flatten().collect();
    // A process has one log; tests that run several commands keep the first.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    Ok(())
}

fn parse_filter(filter: &str) -> Result<EnvFilter> {
    EnvFilter::try_new(filter).map_err(|error| {
        UsageError::new(format!("`{filter}` is not a log filter: {error}"))
            .with_hint("write a level (error, warn, info, debug, trace) or `covey_comms=debug`")
            .into()
    })
}

fn layer<W>(
    writer: W,
    format: LogFormat,
) -> Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = Layer::new().with_ansi(false).with_writer(writer);
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

/// Opens `run.log` in `folder`, which is created if it does not exist. Only the first call of a
/// process has an effect.
///
/// # Errors
/// A folder that cannot be created.
pub fn open_file(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(FILE_NAME);
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    FILE.get_or_init(|| {
        let suffix = AppendCount::new(KEPT_FILES);
        let limit = ContentLimit::BytesSurpassed(MAX_BYTES);
        Mutex::new(FileRotate::new(&path, suffix, limit, Compression::None, None))
    });
    Ok(path)
}

/// Writes to the open log file; drops events before one is open.
struct RunLog;

impl<'writer> MakeWriter<'writer> for RunLog {
    type Writer = Self;

    fn make_writer(&'writer self) -> Self {
        Self
    }
}

impl Write for RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match FILE.get() {
            Some(file) => file.lock().unwrap_or_else(PoisonError::into_inner).write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match FILE.get() {
            Some(file) => file.lock().unwrap_or_else(PoisonError::into_inner).flush(),
            None => Ok(()),
        }
    }
}
