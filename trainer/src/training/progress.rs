//! Progress of long commands: a bar on a terminal, lines of text otherwise.
//!
//! Progress goes to stderr, because stdout is for data. Without a terminal there is one line per
//! [`INTERVAL`](crate::system::terminal::INTERVAL), and always the first and the last, so a log of
//! hours stays short. `NO_COLOR` turns colours off.

use std::time::{Duration, Instant};

use crate::system::terminal::bytes;
use crate::system::terminal::{Surface, duration, percent, short};

use super::metrics::StepReport;

/// Progress of a training run.
#[derive(Debug)]
pub struct TrainProgress {
    surface: Surface,
    pace: Pace,
    total_steps: u64,
}

impl TrainProgress {
    /// Progress of a run of `total_steps` steps that starts or continues after `first_step` steps.
    pub fn new(total_steps: u64, first_step: u64) -> Self {
        let surface = Surface::stderr(total_steps, "{pos:>6}/{len} [{bar:20.cyan}] {wide_msg}");
        Self { surface, pace: Pace::from(first_step), total_steps }
    }

    /// Shows a completed step.
    pub fn step(&self, report: &StepReport) {
        let eta = self.pace.time_left(report.step, self.total_steps);
        self.surface.show(report.step, |with_position| {
            // A bar has the position already.
            let step = if with_position {
                format!("step {}/{}  ", report.step, self.total_steps)
            } else {
                String::new()
            };
            step + &step_line(report, eta)
        });
    }

    /// Prints a line of text above the bar.
    pub fn note(&self, text: &str) {
        self.surface.note(text);
    }

    /// Leaves the last step on the screen.
    pub fn finish(&self) {
        self.surface.finish();
    }
}

fn step_line(report: &StepReport, eta: Option<Duration>) -> String {
    let mut parts = vec![
        format!("loss {:.4}", report.loss),
        format!("norm {:.3}", report.grad_norm),
        format!("lr {:.2e}", report.learning_rate),
        format!("{} tok/s", short(report.tokens_per_second)),
    ];
    parts.extend(report.mfu.map(|mfu| format!("mfu {}", percent(mfu))));
    parts.extend(eta.map(|eta| format!("eta {}", duration(eta))));
    parts.join("  ")
}

/// Progress through files of a known size.
#[derive(Debug)]
pub struct ByteProgress {
    surface: Surface,
    pace: Pace,
    what: String,
    total_bytes: u64,
}

impl ByteProgress {
    /// Progress of the activity `what`, for example "preparing", through `total_bytes` bytes.
    pub fn new(what: impl Into<String>, total_bytes: u64) -> Self {
        let surface = Surface::stderr(total_bytes, "{percent:>3} % [{bar:20.cyan}] {wide_msg}");
        Self { surface, pace: Pace::from(0), what: what.into(), total_bytes }
    }

    /// Shows that `done` bytes have been read and converted to `tokens` tokens. Any thread may call
    /// it.
    pub fn show(&self, done: u64, tokens: u64) {
        self.surface.show(done, |with_position| {
            let share = if with_position {
                // An empty input has 0 bytes; the maximum avoids 0 / 0.
                format!("  {}", percent(done as f64 / self.total_bytes.max(1) as f64))
            } else {
                String::new()
            };
            let eta = self
                .pace
                .time_left(done, self.total_bytes)
                .map(|eta| format!("  eta {}", duration(eta)));
            let (what, total) = (&self.what, bytes(self.total_bytes as f64));
            let speed = bytes(self.pace.per_second(done));
            format!(
                "{what}{share}  {} of {total}  {} tokens  {speed}/s{}",
                bytes(done as f64),
                short(tokens as f64),
                eta.unwrap_or_default()
            )
        });
    }

    /// Prints a line of text above the bar.
    pub fn note(&self, text: &str) {
        self.surface.note(text);
    }

    /// Leaves the last state on the screen.
    pub fn finish(&self) {
        self.surface.finish();
    }
}

/// An activity of unknown length.
#[derive(Debug)]
pub struct Activity {
    surface: Surface,
    what: String,
    start: Instant,
}

impl Activity {
    /// Shows the activity `what`, for example "training the tokenizer", as in progress.
    pub fn new(what: impl Into<String>) -> Self {
        let activity =
            Self { surface: Surface::spinner(), what: what.into(), start: Instant::now() };
        activity.show("");
        activity
    }

    /// Shows a detail of the current state.
    pub fn show(&self, detail: &str) {
        self.surface.show(0, |_| [self.what.as_str(), detail].join("  ").trim_end().to_owned());
    }

    /// Replaces the activity by the line `outcome` with the elapsed time.
    pub fn finish(&self, outcome: &str) {
        self.surface.replace(&format!("{outcome} ({})", duration(self.start.elapsed())));
    }
}

/// The average speed since the start, from which the remaining time follows.
#[derive(Clone, Copy, Debug)]
struct Pace {
    start: Instant,
    first: u64,
}

impl Pace {
    fn from(first: u64) -> Self {
        Self { start: Instant::now(), first }
    }

    fn per_second(&self, position: u64) -> f64 {
        // The first call can come within the resolution of the clock.
        position.saturating_sub(self.first) as f64 / self.start.elapsed().as_secs_f64().max(1e-9)
    }

    /// `None` before the first progress.
    fn time_left(&self, position: u64, total: u64) -> Option<Duration> {
        let seconds = total.saturating_sub(position) as f64 / self.per_second(position);
        // Fails for infinity and NaN, which a speed of 0 gives.
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(step: u64) -> StepReport {
        StepReport {
            step,
            loss: 5.123_44,
            grad_norm: 0.8765,
            learning_rate: 3e-4,
            tokens_per_second: 12_345.0,
            mfu: Some(0.414),
            ..StepReport::default()
        }
    }

    fn train(interval: Duration) -> (TrainProgress, crate::system::terminal::bar::Recorded) {
        let (surface, recorded) = Surface::recorded(interval);
        (TrainProgress { surface, pace: Pace::from(0), total_steps: 40 }, recorded)
    }

    #[test]
    fn a_step_is_one_line_of_text() {
        let (progress, recorded) = train(Duration::ZERO);
        progress.step(&report(40));
        let expected =
            "step 40/40  loss 5.1234  norm 0.876  lr 3.00e-4  12.3k tok/s  mfu 41 %  eta 0s\n";
        assert_eq!(recorded.text(), expected);
    }

    #[test]
    fn a_log_contains_the_first_line_the_last_line_and_all_notes() {
        let (progress, recorded) = train(Duration::from_secs(3600));
        (1..=3).for_each(|step| progress.step(&report(step)));
        progress.note("saved step 3");
        progress.finish();
        progress.finish();
        let text = recorded.text();
        let starts: Vec<_> =
            text.lines().map(|line| line.split("  ").next().unwrap_or_default()).collect();
        assert_eq!(starts, ["step 1/40", "saved step 3", "step 3/40"]);
    }

    #[test]
    fn there_is_no_remaining_time_before_the_first_step() {
        assert_eq!(Pace::from(17).time_left(17, 40), None);
        assert_eq!(
            step_line(&StepReport { mfu: None, ..report(1) }, None).matches("eta").count(),
            0
        );
    }

    #[test]
    fn an_empty_input_shows_0_percent() {
        let (surface, recorded) = Surface::recorded(Duration::ZERO);
        ByteProgress { surface, pace: Pace::from(0), what: "preparing".into(), total_bytes: 0 }
            .show(0, 0);
        assert_eq!(recorded.text(), "preparing  0 %  0 B of 0 B  0 tokens  0 B/s\n");
    }

    #[test]
    fn an_activity_ends_with_its_outcome() {
        let (surface, recorded) = Surface::recorded(Duration::from_secs(3600));
        let activity =
            Activity { surface, what: "training the tokenizer".into(), start: Instant::now() };
        activity.show("");
        activity.show("12k documents");
        activity.finish("trained 4,096 tokens");
        assert_eq!(recorded.text(), "training the tokenizer\ntrained 4,096 tokens (0s)\n");
    }
}
