//! The learning rate as a pure function of the step.
//!
//! Two counters matter. The *step* counts every update and never stops. The *clock* is what the shape of the schedule
//! sees: it stands still in flat windows and is set back by rewinds. [`Schedule::learning_rate`] composes
//!
//! ```text
//! step -> clock(step) -> warm-up, then shape
//!      \-> from anneal.start on: the anneal instead
//! ```
//!
//! All of it is stateless, so a resumed run needs nothing but its step.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{SettingError, SettingErrors};

/// How the learning rate moves over a run.
///
/// With clock c, warm-up of w steps and start ratio s, the rate is `peak * s + peak * (1 - s) * c / w` while c < w, and
/// `peak * shape(c - w)` after it. [`check`](Self::check) names every setting that makes no sense; a schedule that
/// passes it stays within `0..=peak` at every step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Highest learning rate, reached at the end of the warm-up.
    pub peak: f64,
    /// What follows the warm-up.
    #[serde(default)]
    pub shape: ScheduleShape,
    /// Clock steps of the linear warm-up; 0 for none.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Ratio of the peak at step 0 of the warm-up.
    #[serde(default)]
    pub warmup_start_ratio: f64,
    /// Windows of steps in which the clock stands still; in order, none overlapping another.
    #[serde(default)]
    pub flat_windows: Vec<FlatWindow>,
    /// Steps at which the clock is set back.
    #[serde(default)]
    pub rewinds: Vec<Rewind>,
    /// A last rise and fall that takes the place of everything above.
    #[serde(default)]
    pub anneal: Option<Anneal>,
}

/// The learning rate after the warm-up, as a ratio of the peak; t counts clock steps since the end of the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum ScheduleShape {
    /// 1 for ever.
    #[default]
    Constant,
    /// `f + (1 - f) * (1 + cos(pi * t / d)) / 2` with final ratio f and d decay steps; f from t = d on.
    Cosine {
        /// Clock steps from the peak to the final ratio (`T_max` elsewhere).
        decay_steps: u64,
        /// Ratio of the peak at the end, and ever after.
        final_ratio: f64,
    },
    /// Warm-up, stable, decay: 1 for s steps, then `1 - (1 - f) * (t - s) / d`; f from t = s + d on.
    Wsd {
        /// Clock steps at the peak.
        stable_steps: u64,
        /// Clock steps of the linear decay.
        decay_steps: u64,
        /// Ratio of the peak at the end, and ever after.
        final_ratio: f64,
    },
}

/// A window of steps during which the clock stands still, and with it the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlatWindow {
    /// First step of the window.
    pub start: u64,
    /// Steps in the window.
    pub length: u64,
}

/// A setting back of the clock: from step `at` on it reads `steps` less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewind {
    /// First step with the earlier clock.
    pub at: u64,
    /// By how many steps the clock is set back.
    pub steps: u64,
}

/// A last rise from 0 and fall back to 0, counted in steps u since `start`.
///
/// `peak * r * u / w` while u < w, then `peak * r * (1 - (u - w) / d)`, then 0: with peak ratio r, w warm-up steps and
/// d decay steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anneal {
    /// First step of the anneal; its rate is 0 if there is a warm-up.
    pub start: u64,
    /// Steps of the linear rise.
    pub warmup_steps: u64,
    /// Height of the anneal as a ratio of the schedule's peak.
    pub peak_ratio: f64,
    /// Steps of the linear fall.
    pub decay_steps: u64,
}

impl Schedule {
    /// The same learning rate at every step.
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

    /// The learning rate of the update that follows `step` updates.
    pub fn learning_rate(&self, step: u64) -> f64 {
        match &self.anneal {
            Some(anneal) if step >= anneal.start => self.peak * anneal.ratio(step - anneal.start),
            _ => self.peak * self.ratio(self.clock(step)),
        }
    }

    /// What the clock reads after `step` updates: all of them but those in flat windows, less the rewinds until then.
    pub fn clock(&self, step: u64) -> u64 {
        let stopped = self
            .flat_windows
            .iter()
            .map(|window| step.saturating_sub(window.start).min(window.length));
        let rewound =
            self.rewinds.iter().filter(|rewind| step >= rewind.at).map(|rewind| rewind.steps);
        step.saturating_sub(stopped.chain(rewound).fold(0, u64::saturating_add))
    }

    /// Every setting that makes no sense, in the order of the fields; empty for a sound schedule.
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

    /// Ratio of the peak when the clock reads `clock`.
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

    /// The clock has no time before 0 to be set back to.
    fn check_rewinds(&self, findings: &mut SettingErrors) {
        for (index, rewind) in self.rewinds.iter().enumerate() {
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

/// The straight line from `from` at 0 to `to` at `length`, and `to` beyond it.
fn line(from: f64, to: f64, at: u64, length: u64) -> f64 {
    if at >= length { to } else { from + (to - from) * (at as f64 / length as f64) }
}
