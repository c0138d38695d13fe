//! The settings of the optimizers, as types of `covey-optim`.

use covey_optim::inner::{AdamWConfig, Schedule, ScheduleShape};
use covey_optim::sparseloco::{OuterSchedule, SparseLocoConfig};

use crate::config::schema::{Config, ExchangeConfig, ScheduleConfig, ScheduleKind};

impl Config {
    /// The learning rate over the run.
    pub fn schedule(&self) -> Schedule {
        let ScheduleConfig { warmup_steps, warmup_start_ratio, anneal, .. } = self.schedule;
        let mut flat_windows = self.schedule.flat_windows.clone();
        // The schedule requires them in order; users may write them in any order.
        flat_windows.sort_by_key(|window| window.start);
        Schedule {
            peak: self.optim.learning_rate,
            shape: self.schedule.shape(),
            warmup_steps,
            warmup_start_ratio,
            flat_windows,
            rewinds: self.schedule.rewind.clone(),
            anneal,
        }
    }

    /// The settings of the compressor and of the outer step.
    pub fn sparseloco(&self) -> SparseLocoConfig {
        let ExchangeConfig {
            profile,
            k,
            dct,
            feedback_decay,
            mean_over,
            clip,
            return_excluded,
            ref outer_learning_rate,
        } = self.sparseloco;
        SparseLocoConfig {
            profile,
            k,
            dct,
            // The compressor computes in fp32, so every machine rounds it in this one place.
            decay: feedback_decay as f32,
            mean_over,
            clip,
            mass_return: return_excluded,
            outer_learning_rate: OuterSchedule(outer_learning_rate.clone()),
        }
    }

    // `clip_norm` is not among them: the gradient is clipped before AdamW sees it.
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
}
