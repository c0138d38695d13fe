//! Model, learner and batches of these tests.

use covey::config::layers::{Layers, Purpose};
use covey::config::schema::Config;
use covey::training::learner::Learner;
use covey_model::config::{ModelConfig, preset};
use covey_model::init::Initializer;

/// Tokens per window, and windows per batch: one for each of eight devices.
pub(crate) const LENGTH: usize = 32;
pub(crate) const WINDOWS: usize = 8;

pub(crate) fn tiny() -> ModelConfig {
    preset("tiny").unwrap()
}

pub(crate) fn config(settings: &[(&str, &str)]) -> Config {
    let windows = WINDOWS.to_string();
    let common = [("train.batch_size", windows.as_str()), ("schedule.warmup_steps", "0")];
    let layers = common
        .iter()
        .chain(settings)
        .fold(Layers::new(), |layers, (key, value)| layers.flag("test", key, value));
    layers.resolve(Purpose::Show).unwrap().config
}

pub(crate) fn learner(
    model: &ModelConfig,
    config: &Config,
) -> covey::system::error::Result<Learner> {
    let initializer = Initializer::new(7, model);
    Learner::open(model, config, |spec, range| {
        let mut numbers = vec![0.0; range.len()];
        initializer.fill(spec, range.start as u64, &mut numbers);
        Ok(numbers)
    })
}

/// The windows of a step. As in text, some tokens are far more frequent than others.
pub(crate) fn tokens(step: u64, vocabulary: usize) -> Vec<u32> {
    let mut state = (step + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut token = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let share = (state >> 40) as f64 / (1u64 << 24) as f64;
        (share.powi(3) * vocabulary as f64) as u32
    };
    (0..WINDOWS * (LENGTH + 1)).map(|_| token()).collect()
}
