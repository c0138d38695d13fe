//! The learning rate as a pure function of the step.
//!
//! There are two counters. The *step* counts every update. The *clock* is the argument of the
//! shape: it stops in flat windows and is set back by rewinds. [`Schedule::learning_rate`] composes
//!
//! ```text
//! step -> clock(step) -> warm-up, then shape
//!      \-> from anneal.start on: the anneal instead
//! ```
//!
//! A schedule is stateless, so a resumed run needs only its step.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{SettingError, SettingErrors};

/// The learning rate over a run.
///
/// With clock c, warm-up of w steps and start ratio s, the rate is
/// `peak * s + peak * (1 - s) * c / w` while c < w, and `peak * shape(c - w)` after that. A
/// schedule without findings in [`check`](Self::check) stays within `0..=peak` at every step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The highest learning rate, reached at the end of the warm-up.
    pub peak: f64,
    /// The shape after the warm-up.
    #[serde(default)]
    pub shape: ScheduleShape,
    /// Clock steps of the linear warm-up; 0 for none.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Ratio of the peak at step 0.
    #[serde(default)]
    pub warmup_start_ratio: f64,
    /// Windows of steps in which the clock stops; ascending, without overlap.
    #[serde(default)]
    pub flat_windows: Vec<FlatWindow>,
    /// Steps at which the clock is set back.
    #[serde(default)]
    pub rewinds: Vec<Rewind>,
    /// A final rise and fall that replaces all of the above.
    #[serde(default)]
    pub anneal: Option<Anneal>,
}

/// The learning rate after the warm-up, as a ratio of the peak; t counts clock steps since the end
/// of the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum ScheduleShape {
    /// Always 1.
    #[default]
    Constant,
    /// `f + (1 - f) * (1 + cos(pi * t / d)) / 2` with final ratio f and d decay steps; f from t = d
    /// on.
    Cosine {
        /// Clock steps from the peak to the final ratio (`T_max` elsewhere).
        decay_steps: u64,
        /// Ratio of the peak from the end of the decay on.
        final_ratio: f64,
    },
    /// Warm-up, stable, decay: 1 for s steps, then `1 - (1 - f) * (t - s) / d`; f from t = s + d
    /// on.
    Wsd {
        /// Clock steps at the peak.
        stable_steps: u64,
        /// Clock steps of the linear decay.
        decay_steps: u64,
        /// Ratio of the peak from the end of the decay on.
        final_ratio: f64,
    },
}

/// A window of steps in which the clock, and therefore the learning rate, stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlatWindow {
    /// First step of the window.
    pub start: u64,
    /// Steps in the window.
    pub length: u64,
}

/// A rewind of the clock: from step `at` on it is `steps` lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewind {
    /// The first step with the lower clock.
    pub at: u64,
    /// The number of clock steps.
    pub steps: u64,
}

/// A final rise from 0 and fall back to 0; u counts steps since `start`.
///
/// The rate is `peak * r * u / w` while u < w, then `peak * r * (1 - (u - w) / d)`, then 0, with
/// peak ratio r, w warm-up steps and d decay steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anneal {
    /// The first step of the anneal. Its rate is 0 if there is a warm-up.
    pub start: u64,
    /// Steps of the linear rise.
    pub warmup_steps: u64,
    /// The highest rate of the anneal as a ratio of the peak of the schedule.
    pub peak_ratio: f64,
    /// Steps of the linear fall.
    pub decay_steps: u64,
}

impl Schedule {
    /// A schedule with the same learning rate at every step.
    pub fn constant(peak: f64) -> Self {
        Self {
            peak,
            shape: ScheduleShape::Constant,
            warmup_steps: 0,
            warmup_start_ratio: 0.0,
            flat_windows: Vec::new(),
            rewinds: Vec::new(),
            anneal: None,
        }
    }

    /// The learning rate of the update after `step` updates.
    pub fn learning_rate(&self, step: u64) -> f64 {
        match &self.anneal {
            Some(anneal) if step >= anneal.start => self.peak * anneal.ratio(step - anneal.start),
            _ => self.peak * self.ratio(self.clock(step)),
        }
    }

    /// The clock after `step` updates: their number without those in flat windows, less the rewinds
    /// so far.
    pub fn clock(&self, step: u64) -> u64 {
        let stopped = self
            .flat_windows
            .iter()
            .map(|window| step.saturating_sub(window.start).min(window.length));
        let rewound =
            self.rewinds.iter().filter(|rewind| step >= rewind.at).map(|rewind| rewind.steps);
        // Saturates: a schedule from a file may not have been checked, and a wrapped clock would be
        // past every decay.
        step.saturating_sub(stopped.chain(rewound).fold(0, u64::saturating_add))
    }

    /// Returns every setting that breaks its rule, in the order of the fields.
    pub fn check(&self) -> Vec<SettingError> {
        let mut findings = SettingErrors::default();
        findings.require(
            self.peak.is_finite() && self.peak >= 0.0,
            "peak",
            self.peak,
            "must be 0 or more, and finite",
        );
        self.shape.check(&mut findings);
        findings.ratio("warmup_start_ratio", self.warmup_start_ratio);
        self.check_flat_windows(&mut findings);
        self.check_rewinds(&mut findings);
        if let Some(anneal) = &self.anneal {
            findings.ratio("anneal.peak_ratio", anneal.peak_ratio);
        }
        findings.0
    }

    /// Ratio of the peak at a clock.
    fn ratio(&self, clock: u64) -> f64 {
        if clock < self.warmup_steps {
            line(self.warmup_start_ratio, 1.0, clock, self.warmup_steps)
        } else {
            self.shape.ratio(clock - self.warmup_steps)
        }
    }

    fn check_flat_windows(&self, findings: &mut SettingErrors) {
        for (index, pair) in self.flat_windows.windows(2).enumerate() {
            let [before, after] = pair else { continue };
            let fits = after.start >= before.start.saturating_add(before.length);
            let key = format!("flat_windows[{}].start", index + 1);
            findings.require(
                fits,
                key,
                after.start,
                "must not come before the end of the window above it",
            );
        }
    }

    /// Records rewinds that would set the clock to before 0.
    fn check_rewinds(&self, findings: &mut SettingErrors) {
        for (index, rewind) in self.rewinds.iter().enumerate() {
            // The clock at a rewind depends on all other rewinds up to that step.
            let others = self.rewinds.iter().enumerate().filter(|(other, _)| *other != index);
            let others =
                others.map(|(_, other)| *other).filter(|other| other.at <= rewind.at).collect();
            let clock = Self { rewinds: others, ..self.clone() }.clock(rewind.at);
            let key = format!("rewinds[{index}].steps");
            findings.require(
                rewind.steps <= clock,
                key,
                rewind.steps,
                "sets the clock back to before its start",
            );
        }
    }
}

impl ScheduleShape {
    /// Ratio of the peak, `time` clock steps after the warm-up.
    fn ratio(&self, time: u64) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Cosine { decay_steps, final_ratio } if time < decay_steps => {
                // `cos` may differ between machines in the last bit. Only the weights of this peer
                // depend on it.
                let angle = PI * time as f64 / decay_steps as f64;
                final_ratio + (1.0 - final_ratio) * (1.0 + angle.cos()) / 2.0
            }
            Self::Cosine { final_ratio, .. } => final_ratio,
            Self::Wsd { stable_steps, decay_steps, final_ratio } => {
                match time.saturating_sub(stable_steps) {
                    0 => 1.0,
                    since => line(1.0, final_ratio, since, decay_steps),
                }
            }
        }
    }

    fn check(&self, findings: &mut SettingErrors) {
        match *self {
            Self::Constant => {}
            Self::Cosine { final_ratio, .. } | Self::Wsd { final_ratio, .. } => {
                findings.ratio("shape.final_ratio", final_ratio);
            }
        }
    }
}

impl Anneal {
    /// Ratio of the schedule's peak, `time` steps after the start.
    fn ratio(&self, time: u64) -> f64 {
        if time < self.warmup_steps {
            self.peak_ratio * line(0.0, 1.0, time, self.warmup_steps)
        } else {
            self.peak_ratio * line(1.0, 0.0, time - self.warmup_steps, self.decay_steps)
        }
    }
}

/// The line from `from` at 0 to `to` at `length`; `to` from there on.
fn line(from: f64, to: f64, at: u64, length: u64) -> f64 {
    // Exactly `to` at the end: `from + (to - from)` may differ by rounding. Also covers a length of
    // 0.
    if at >= length { to } else { from + (to - from) * (at as f64 / length as f64) }
}
