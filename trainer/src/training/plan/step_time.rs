//! Estimate of the time of an optimizer step.

use covey_model::config::ModelConfig;
use covey_model::cost::FlopsPerToken;

use super::memory::Needs;
use crate::config::schema::{CheckpointedLayers, Config};

/// Operations, transfers and time of one optimizer step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTime {
    /// Useful floating-point operations of a step, summed over all devices.
    pub flops: f64,
    /// Additional operations of activation checkpointing, summed over all devices.
    pub recomputed: f64,
    /// Bytes that each device receives and sends in collectives.
    pub moved: f64,
    /// Seconds of arithmetic, if the rate is given.
    pub compute: Option<f64>,
    /// Seconds of transfers between devices, if their speed is given. They overlap with arithmetic.
    pub transfer: Option<f64>,
}

/// Measured or expected speeds of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speeds {
    /// Useful floating-point operations per second of one device in training.
    pub rate: Option<f64>,
    /// Bytes per second between devices, in each direction.
    pub between: Option<f64>,
}

impl StepTime {
    /// One step of `config` on devices with these needs.
    pub fn new(model: &ModelConfig, config: &Config, needs: Needs, speeds: Speeds) -> Self {
        let tokens = (config.train.batch_size * config.data.sequence_length) as f64;
        let per_token = FlopsPerToken::new(model, config.data.sequence_length);
        let recomputed = match config.memory.activation_checkpointing {
            CheckpointedLayers::None => 0.0,
            CheckpointedLayers::Blocks => {
                tokens * recomputed_per_token(model, per_token)
                    / config.memory.activation_checkpoint_every as f64
            }
        };
        let flops = per_token.total() * tokens;
        let moved = moved(model, needs);
        // The device with the most sequences determines the time.
        let share = (config.train.batch_size.div_ceil(needs.members) as f64)
            / config.train.batch_size as f64;
        Self {
            flops,
            recomputed,
            moved,
            compute: speeds.rate.map(|rate| (flops + recomputed) * share / rate),
            transfer: speeds.between.map(|speed| moved / speed),
        }
    }

    /// Seconds of the step, if the time of its arithmetic is known.
    pub fn seconds(&self) -> Option<f64> {
        // Transfers overlap with arithmetic, so the longer of both counts.
        Some(self.compute?.max(self.transfer.unwrap_or(0.0)))
    }
}

/// Operations per token that activation checkpointing repeats in all blocks: the query, key, value,
/// gate and up projections.
fn recomputed_per_token(model: &ModelConfig, per_token: FlopsPerToken) -> f64 {
    let widths = model.query_width() + 2 * model.kv_width() + 2 * model.intermediate_size;
    let again = 2.0 * (model.hidden_size * widths * model.num_layers) as f64;
    again.min(per_token.forward)
}

/// Bytes that each device sends and receives in a step.
///
/// Each pass gathers every weight twice in the compute precision and reduces every gradient once in
/// fp32. Each transfer moves all shards except the device's own.
fn moved(model: &ModelConfig, needs: Needs) -> f64 {
    let others = (needs.members - 1) as f64 / needs.members as f64;
    // Two gathers, and one reduce-scatter in fp32.
    let per_parameter = 2.0 * needs.precision.bytes() as f64 + 4.0;
    model.num_parameters() as f64 * per_parameter * others * needs.forward_backward() as f64
}
