//! From a configuration to a learner on its devices, unless it would not fit.

use std::ops::Range;
use std::sync::Arc;

use covey_model::config::{ModelConfig, ParameterSpec, Precision};
use covey_model::network::{Decoder, ForwardBackward};
use covey_optim::fsdp::{Plan, ShardedParameters};

use super::compression::select_on;
use super::learner::Learner;
use crate::config::schema::Config;
use crate::system::device::{DeviceKind, DeviceList, memory_of_gpus, memory_of_machine};
use crate::system::error::UsageError;
use crate::system::terminal::bytes;
use crate::training::plan::{Change, MemoryPlan, Needs, Room, fit, plan};

/// Where a network is to be trained, found fit for it.
struct Site {
    devices: DeviceList,
    needs: Needs,
    division: Arc<Plan>,
    /// Bytes of each device at the peak.
    memory: u64,
}

impl Site {
    fn find(model: &ModelConfig, config: &Config) -> anyhow::Result<Self> {
        let devices = devices(config)?;
        devices.check()?;
        let needs = Needs::of(config, &devices);
        let division = Arc::new(plan(model, devices.members())?);
        let memory = check_memory(model, config, &devices, needs)?;
        Ok(Self { devices, needs, division, memory })
    }
}

impl Learner {
    /// That `model` can be trained as `config` says: the devices are there, can share it and have room for it.
    ///
    /// # Errors
    /// What [`Learner::open`] would return for the same reason.
    pub fn check(model: &ModelConfig, config: &Config) -> anyhow::Result<()> {
        Site::find(model, config).map(drop)
    }

    /// A learner that has made no step, on the devices of `config`.
    ///
    /// `fill` gives the first weights, a range of one parameter after the other, so that no more than such a range need
    /// ever be read at once.
    ///
    /// # Errors
    /// Devices that cannot be used or do not hold it, and whatever `fill` returns.
    pub fn open(
        model: &ModelConfig,
        config: &Config,
        mut fill: impl FnMut(&ParameterSpec, Range<usize>) -> anyhow::Result<Vec<f32>>,
    ) -> anyhow::Result<Self> {
        let Site { devices, needs, division, memory } = Site::find(model, config)?;
        let devices = devices.open()?;
        let parameters = model.parameters();
        let specs: Vec<&ParameterSpec> = parameters.iter().collect();
        let selects = devices.iter().map(select_on).collect();
        let decoder = |device| Decoder::with_precision(model.clone(), device, needs.precision);
        let forward_backward =
            ForwardBackward::new(devices.iter().map(decoder).collect(), needs.recompute);
        let fill = |parameter: usize, range| fill(specs[parameter], range);
        let shards = ShardedParameters::new(
            division,
            devices,
            needs.precision.dtype(),
            config.adamw(),
            fill,
        )?;
        Ok(Self {
            model: model.clone(),
            forward_backward,
            shards,
            selects,
            schedule: config.schedule(),
            clip_norm: config.optim.clip_norm,
            micro_batch_size: needs.micro_batch_size,
            gather_for: needs.gather_for,
            precision: needs.precision,
            memory,
            step: 0,
            tokens: 0,
            rate_ratio: 1.0,
        })
    }
}

/// The devices of `config`.
pub(crate) fn devices(config: &Config) -> Result<DeviceList, UsageError> {
    config
        .run
        .device
        .parse()
        .map_err(|rule| UsageError::new(format!("run.device = {}: {rule}", config.run.device)))
}

/// Bytes that each device may hold, as configured or as the system says.
pub(crate) fn memory_limit(config: &Config, devices: &DeviceList) -> Option<u64> {
    config.memory.limit.or_else(|| match devices.kind() {
        DeviceKind::Cpu => memory_of_machine(),
        DeviceKind::Cuda => memory_of_gpus().into_iter().min(),
        DeviceKind::Wgpu => None,
    })
}

/// Bytes that each device will hold; refuses what would run out of memory hours later.
fn check_memory(
    model: &ModelConfig,
    config: &Config,
    devices: &DeviceList,
    needs: Needs,
) -> anyhow::Result<u64> {
    let memory = MemoryPlan::new(model, needs)?;
    let needed = memory.peak_of_devices(devices);
    let Some(limit) = memory_limit(config, devices).filter(|limit| needed > *limit) else {
        return Ok(needed);
    };
    let most =
        memory.members.iter().max_by_key(|member| member.peak()).copied().unwrap_or_default();
    let in_bytes = |number: u64| bytes(number as f64);
    let problem = UsageError::new(format!(
        "training needs {} on each device, {} are there: per member {} of weights, {} of gradients, {} of moments, {} \
         gathered, {} of activations and {} to work with",
        in_bytes(needed),
        in_bytes(limit),
        in_bytes(most.weights),
        in_bytes(most.gradients),
        in_bytes(most.moments),
        in_bytes(most.gathered + most.sums),
        in_bytes(most.activations),
        in_bytes(most.working),
    ));
    let advice = advice(fit(model, needs, room(devices, limit)));
    Err(problem.with_hint(format!("{advice}; `covey plan` shows the whole calculation")).into())
}

/// What each member may take of devices with `limit` bytes each.
pub(crate) fn room(devices: &DeviceList, limit: u64) -> Room {
    Room {
        limit: limit
            / (0..devices.members()).map(|member| devices.sharers(member)).max().unwrap_or(1)
                as u64,
        half: devices.usual_precision() == Precision::Bf16,
        more_devices: devices.kind() != DeviceKind::Cpu,
    }
}

/// What to change.
pub(crate) fn advice(changes: Option<Vec<Change>>) -> String {
    match changes {
        Some(changes) => {
            let changes: Vec<String> = changes.iter().map(Change::to_string).collect();
            format!("with {} it fits", changes.join(" and "))
        }
        None => {
            "nothing that can be set makes it fit: choose shorter sequences or a smaller network"
                .into()
        }
    }
}
