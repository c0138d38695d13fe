//! The surface on which progress is shown.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fmt};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between two progress lines in a log.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// Frames per second of a bar: smooth for the eye, with negligible cost.
const FRAMES: u8 = 10;

/// A bar that is redrawn in place, or a log of lines.
#[derive(Debug)]
pub(crate) enum Surface {
    Bar(ProgressBar),
    Log(Mutex<Log>),
}

impl Surface {
    /// A bar of `length` on a terminal, otherwise a log.
    pub(crate) fn stderr(length: u64, template: &'static str) -> Self {
        if !stderr_can_redraw() {
            return Self::log();
        }
        let bar =
            ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(FRAMES));
        let style =
            ProgressStyle::with_template(template).expect("templates are written in this program");
        Self::Bar(bar.with_style(style.progress_chars("=> ")))
    }

    /// A spinner on a terminal, otherwise a log.
    pub(crate) fn spinner() -> Self {
        if !stderr_can_redraw() {
            return Self::log();
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(FRAMES));
        bar.enable_steady_tick(Duration::from_millis(1000 / u64::from(FRAMES)));
        Self::Bar(bar)
    }

    fn log() -> Self {
        Self::Log(Mutex::new(Log::new(Box::new(io::stderr()), INTERVAL)))
    }

    /// Shows `position` and the text of `describe`, if the last update is old enough. The argument
    /// of `describe` is true if the text must contain the position.
    pub(crate) fn show(&self, position: u64, describe: impl FnOnce(bool) -> String) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(describe(false));
                bar.set_position(position);
            }
            Self::Log(log) => lock(log).show(describe(true)),
        }
    }

    /// Writes a separate line.
    pub(crate) fn note(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.println(text),
            Self::Log(log) => lock(log).write(text),
        }
    }

    /// Keeps the last text on the screen. A bar ignores later updates.
    pub(crate) fn finish(&self) {
        match self {
            Self::Bar(bar) => bar.abandon(),
            Self::Log(log) => lock(log).write_latest(),
        }
    }

    /// Replaces the progress by `text`.
    pub(crate) fn replace(&self, text: &str) {
        match self {
            Self::Bar(bar) => {
                bar.println(text);
                bar.finish_and_clear();
            }
            Self::Log(log) => {
                lock(log).latest = None;
                lock(log).write(text);
            }
        }
    }
}

fn stderr_can_redraw() -> bool {
    // `dumb` terminals, such as those of editors, print control sequences as text.
    io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// A panic of another thread is not a reason to stop the display.
fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines, at most one per interval.
pub(crate) struct Log {
    sink: Box<dyn Write + Send>,
    interval: Duration,
    written: Option<Instant>,
    /// The last text that was not written yet.
    latest: Option<String>,
}

impl Log {
    fn new(sink: Box<dyn Write + Send>, interval: Duration) -> Self {
        Self { sink, interval, written: None, latest: None }
    }

    fn show(&mut self, text: String) {
        self.latest = Some(text);
        if self.written.is_none_or(|written| written.elapsed() >= self.interval) {
            self.write_latest();
        }
    }

    fn write_latest(&mut self) {
        if let Some(text) = self.latest.take() {
            self.write(&text);
            self.written = Some(Instant::now());
        }
    }

    fn write(&mut self, text: &str) {
        // A closed stderr must not stop the work.
        let _ = writeln!(self.sink, "{text}");
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Log").field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// The text that a surface of [`Surface::recorded`] has written.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Recorded(std::sync::Arc<Mutex<Vec<u8>>>);

#[cfg(test)]
impl Recorded {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[cfg(test)]
impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl Surface {
    pub(crate) fn recorded(interval: Duration) -> (Self, Recorded) {
        let recorded = Recorded::default();
        (Self::Log(Mutex::new(Log::new(Box::new(recorded.clone()), interval))), recorded)
    }
}
