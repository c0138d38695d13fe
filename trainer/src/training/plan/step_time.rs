//! How long an optimizer step takes.

use covey_model::config::ModelConfig;
use covey_model::cost::FlopsPerToken;

use super::memory::Needs;
use crate::config::schema::{Config, RecomputeKind};

/// The time of one optimizer step, all members side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTime {
    /// Floating-point operations of a step that count as useful, of all members.
    pub flops: f64,
    /// Operations that are done again because blocks did not keep everything.
    pub recomputed: f64,
    /// Bytes that each member receives and sends in collectives.
    pub moved: f64,
    /// Seconds of arithmetic at the given rate, if one is given.
    pub compute: Option<f64>,
    /// Seconds of transfers between members at the given speed, if one is given; they run beside the arithmetic.
    pub transfer: Option<f64>,
}

/// What one member's part of a step runs at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speeds {
    /// Useful operations per second of one member, as measured in training or expected.
    pub rate: Option<f64>,
    /// Bytes per second between members, each way.
    pub between: Option<f64>,
}

impl StepTime {
    /// The step that `config` describes on members with these needs.
    pub fn new(model: &ModelConfig, config: &Config, needs: Needs, speeds: Speeds) -> Self {
        let tokens = (config.train.batch_size * config.data.sequence_length) as f64;
        let per_token = FlopsPerToken::new(model, config.data.sequence_length);
        let recomputed = match config.memory.recompute {
            RecomputeKind::None => 0.0,
            RecomputeKind::Blocks => {
                tokens * recomputed_per_token(model, per_token)
                    / config.memory.recompute_every as f64
            }
        };
        let flops = per_token.total() * tokens;
        let moved = moved(model, needs);
        // The busiest member sets the pace.
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

    /// Seconds of the whole step, when its arithmetic is known.
    pub fn seconds(&self) -> Option<f64> {
        Some(self.compute?.max(self.transfer.unwrap_or(0.0)))
    }
}

/// Query, key, value, gate and up projections of every block: what a recomputed block does twice.
fn recomputed_per_token(model: &ModelConfig, per_token: FlopsPerToken) -> f64 {
    let widths = model.query_width() + 2 * model.kv_width() + 2 * model.intermediate_size;
    let again = 2.0 * (model.hidden_size * widths * model.num_layers) as f64;
    again.min(per_token.forward)
}

/// Two gathers of every weight in the compute dtype and one scatter of every gradient in fp32, as often as micro-batches
/// pass the network; each moves all but the member's own part.
fn moved(model: &ModelConfig, needs: Needs) -> f64 {
    let others = (needs.members - 1) as f64 / needs.members as f64;
    let per_parameter = 2.0 * needs.precision.bytes() as f64 + 4.0;
    model.num_parameters() as f64 * per_parameter * others * needs.forward_backward() as f64
}
