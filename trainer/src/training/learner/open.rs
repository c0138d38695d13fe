//! Creates a learner on the configured devices, after a check that the model fits.

use std::ops::Range;
use std::sync::Arc;

use covey_model::config::{ModelConfig, ParameterSpec, Precision};
use covey_model::network::{Decoder, ForwardBackward};
use covey_optim::fsdp::{Plan, ShardedParameters};

use super::compression::top_k_on;
use super::learner::Learner;
use crate::config::schema::Config;
use crate::system::device::{DeviceKind, DeviceList, memory_of_gpus, memory_of_machine};
use crate::system::error::{Result, UsageError};
use crate::system::terminal::bytes;
use crate::training::plan::{Change, DeviceMemory, MemoryPlan, Needs, Room, fit, plan};

/// The devices of a run with the plan of a model that fits on them.
struct Placement {
    devices: DeviceList,
    needs: Needs,
    shard_plan: Arc<Plan>,
    /// Planned peak of each device in bytes.
    memory: u64,
}

impl Placement {
    // Cheap checks come first: a wrong device is reported before a plan for 72B parameters is made.
    fn find(model: &ModelConfig, config: &Config) -> Result<Self> {
        let devices = devices(config)?;
        devices.check()?;
        let needs = Needs::of(config, &devices);
        let shard_plan = Arc::new(plan(model, devices.members())?);
        let memory = check_memory(model, config, &devices, needs)?;
        Ok(Self { devices, needs, shard_plan, memory })
    }
}

impl Learner {
    /// Checks that the devices of `config` exist, can share `model`, and have enough memory.
    ///
    /// Allocates nothing on the devices.
    ///
    /// # Errors
    /// The error that [`Learner::open`] would return for the same reason.
    pub fn check(model: &ModelConfig, config: &Config) -> Result<()> {
        Placement::find(model, config).map(drop)
    }

    /// Creates a learner on the devices of `config`.
    ///
    /// `fill` returns a range of a parameter's initial weights, in canonical order, so no more than
    /// one range is in host memory.
    ///
    /// # Errors
    /// Devices that cannot be used or have too little memory, and errors of `fill`.
    pub fn open(
        model: &ModelConfig,
        config: &Config,
        mut fill: impl FnMut(&ParameterSpec, Range<usize>) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let Placement { devices, needs, shard_plan, memory } = Placement::find(model, config)?;
        let devices = devices.open()?;
        let parameters = model.parameters();
        let specs: Vec<&ParameterSpec> = parameters.iter().collect();
        let top_k = devices.iter().map(top_k_on).collect();
        let decoders = devices
            .iter()
            .map(|device| Decoder::with_precision(model.clone(), device, needs.precision))
            .collect();
        let shards = ShardedParameters::new(
            shard_plan,
            devices,
            needs.precision.dtype(),
            config.adamw(),
            |parameter, range| fill(specs[parameter], range),
        )?;
        Ok(Self {
            model: model.clone(),
            forward_backward: ForwardBackward::new(decoders, needs.activation_checkpointing),
            shards,
            top_k,
            schedule: config.schedule(),
            clip_norm: config.optim.clip_norm,
            micro_batch_size: needs.micro_batch_size,
            micro_batches_per_gather: needs.micro_batches_per_gather,
            precision: needs.precision,
            memory,
            step: 0,
            tokens: 0,
            rate_ratio: 1.0,
        })
    }
}

/// Parses the devices of `config`.
pub(crate) fn devices(config: &Config) -> Result<DeviceList, UsageError> {
    config
        .run
        .device
        .parse()
        .map_err(|rule| UsageError::new(format!("run.device = {}: {rule}", config.run.device)))
}

/// Bytes that each device may use: `memory.limit`, or the memory that the system reports.
///
/// `None` if it is unknown, as for WebGPU.
pub(crate) fn memory_limit(config: &Config, devices: &DeviceList) -> Option<u64> {
    config.memory.limit.or_else(|| match devices.kind() {
        DeviceKind::Cpu => memory_of_machine(),
        // Shards are equal, so the smallest GPU is the limit.
        DeviceKind::Cuda => memory_of_gpus().into_iter().min(),
        DeviceKind::Wgpu => None,
    })
}

/// The planned peak of each device in bytes, if it is within the limit.
///
/// Without this check, training would run out of memory after minutes of loading and compilation.
fn check_memory(
    model: &ModelConfig,
    config: &Config,
    devices: &DeviceList,
    needs: Needs,
) -> Result<u64> {
    let memory = MemoryPlan::new(model, needs)?;
    let needed = memory.peak_of_devices(devices);
    let Some(limit) = memory_limit(config, devices).filter(|limit| needed > *limit) else {
        return Ok(needed);
    };
    let largest =
        memory.members.iter().max_by_key(|device| device.peak()).copied().unwrap_or_default();
    let problem = UsageError::new(format!(
        "training needs {} on each device, but {} are available (per shard: {})",
        bytes(needed as f64),
        bytes(limit as f64),
        parts(&largest),
    ));
    let advice = advice(fit(model, needs, room(devices, limit)));
    Err(problem.with_hint(format!("{advice}; `covey plan` shows the calculation")).into())
}

/// The parts of a device's memory for an error message.
fn parts(memory: &DeviceMemory) -> String {
    let parts = [
        ("weights", memory.weights),
        ("gradients", memory.gradients),
        ("moments", memory.moments),
        ("gathered", memory.gathered + memory.sums),
        ("activations", memory.activations),
        ("workspace", memory.working),
    ];
    parts.map(|(name, number)| format!("{name} {}", bytes(number as f64))).join(", ")
}

/// The limits for a change of the configuration, on devices with `limit` bytes each.
pub(crate) fn room(devices: &DeviceList, limit: u64) -> Room {
    Room {
        limit: limit
            / (0..devices.members()).map(|member| devices.sharers(member)).max().unwrap_or(1)
                as u64,
        half: devices.usual_precision() == Precision::Bf16,
        // Listing the CPU more often only divides the same memory.
        more_devices: devices.kind() != DeviceKind::Cpu,
    }
}

/// The advice to make `changes`, as one imperative.
pub(crate) fn advice(changes: Option<Vec<Change>>) -> String {
    match changes {
        Some(changes) => {
            let changes: Vec<String> = changes.iter().map(Change::to_string).collect();
            format!("use {} to make it fit", changes.join(" and "))
        }
        None => "no setting makes it fit; use shorter sequences or a smaller model".into(),
    }
}
