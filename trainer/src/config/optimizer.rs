//! The settings of the optimizer in the words of `covey-optim`.

use covey_optim::inner::{AdamWConfig, Anneal, FlatWindow, Rewind, Schedule, ScheduleShape};
use covey_optim::sparseloco::{OuterSchedule, SparseLocoConfig};

use crate::config::schema::{AnnealConfig, Config, ExchangeConfig, ScheduleConfig, ScheduleKind};

impl Config {
    /// The learning rate over the run.
    pub fn schedule(&self) -> Schedule {
        let ScheduleConfig { warmup_steps, warmup_start_ratio, .. } = self.schedule;
        Schedule {
            peak: self.optim.learning_rate,
            shape: self.schedule.shape(),
            warmup_steps,
            warmup_start_ratio,
            flat_windows: self.schedule.sorted_windows(),
            rewinds: self
                .schedule
                .rewind
                .iter()
                .map(|rewind| Rewind { at: rewind.at, steps: rewind.steps })
                .collect(),
            anneal: self.schedule.anneal.map(Anneal::from),
        }
    }

    /// What peers send, in the words of the compressor.
    pub fn sparseloco(&self) -> SparseLocoConfig {
        let ExchangeConfig { profile, k, dct, decay, mean_over, clip, mass_return, .. } =
            self.sparseloco;
        let outer_learning_rate = OuterSchedule(self.sparseloco.outer_learning_rate.clone());
        SparseLocoConfig {
            profile,
            k,
            dct,
            decay: decay as f32,
            mean_over,
            clip,
            mass_return,
            outer_learning_rate,
        }
    }

    /// The constants of AdamW.
    pub fn adamw(&self) -> AdamWConfig {
        AdamWConfig {
            beta1: self.optim.beta1,
            beta2: self.optim.beta2,
            epsilon: self.optim.epsilon,
            weight_decay: self.optim.weight_decay,
        }
    }
}

impl ScheduleConfig {
    fn shape(&self) -> ScheduleShape {
        let Self { kind, final_ratio, decay_steps, stable_steps, .. } = *self;
        match kind {
            ScheduleKind::Constant => ScheduleShape::Constant,
            ScheduleKind::Cosine => ScheduleShape::Cosine { decay_steps, final_ratio },
            ScheduleKind::Wsd => ScheduleShape::Wsd { stable_steps, decay_steps, final_ratio },
        }
    }

    /// The flat windows by their start, in whatever order they were written.
    fn sorted_windows(&self) -> Vec<FlatWindow> {
        let window = |window: &crate::config::schema::FlatWindowConfig| FlatWindow {
            start: window.start,
            length: window.length,
        };
        let mut windows: Vec<_> = self.flat_windows.iter().map(window).collect();
        windows.sort_by_key(|window| window.start);
        windows
    }
}

impl From<AnnealConfig> for Anneal {
    fn from(anneal: AnnealConfig) -> Self {
        let AnnealConfig { start, warmup_steps, peak_ratio, decay_steps } = anneal;
        Self { start, warmup_steps, peak_ratio, decay_steps }
    }
}
