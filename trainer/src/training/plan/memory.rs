//! Estimate of the peak memory of training: per device, and in host memory.
//!
//! Tests compare it with the bytes that an allocator counts; the difference is at most 5 %.

use covey_model::config::{ActivationCheckpointing, ModelConfig, Precision};
use covey_model::cost::{ActivationMemory, StepShape};
use covey_optim::fsdp::{FsdpError, Plan};

use crate::config::schema::{CheckpointedLayers, Config};
use crate::system::device::{DeviceKind, DeviceList};

/// The settings on which memory depends, other than the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Devices that share the model. A device that is listed twice counts twice.
    pub members: usize,
    /// Sequences per optimizer step, over all devices.
    pub batch_size: usize,
    /// Largest number of sequences in a forward and backward pass of one device.
    pub micro_batch_size: usize,
    /// Micro-batches that use the weights of one gather.
    pub micro_batches_per_gather: usize,
    /// Tokens per sequence.
    pub length: usize,
    /// Activation checkpointing.
    pub activation_checkpointing: ActivationCheckpointing,
    /// Precision of the forward and backward pass.
    pub precision: Precision,
    /// True on the CPU, which has separate fused kernels in fp32.
    pub on_cpu: bool,
}

impl Needs {
    /// The needs of `config` on `devices`.
    pub fn of(config: &Config, devices: &DeviceList) -> Self {
        let (train, members) = (&config.train, devices.members());
        // The first devices get one sequence more if the batch is not a multiple of the devices.
        let own = train.batch_size.div_ceil(members);
        let micro_batch_size = train.micro_batch_size.min(own);
        let all = own.div_ceil(micro_batch_size);
        // One device gathers nothing, so several micro-batches at once would only keep activations.
        let micro_batches_per_gather =
            config.memory.micro_batches_per_gather.unwrap_or(if members == 1 { 1 } else { all });
        Self {
            members,
            batch_size: train.batch_size,
            micro_batch_size,
            micro_batches_per_gather: micro_batches_per_gather.min(all),
            length: config.data.sequence_length,
            activation_checkpointing: activation_checkpointing(config),
            precision: train.precision,
            on_cpu: devices.kind() == DeviceKind::Cpu,
        }
    }

    /// Buffers of a forward and backward pass on one device.
    fn activation_memory(&self, model: &ModelConfig) -> ActivationMemory {
        let shape = StepShape {
            sequences: self.micro_batch_size,
            length: self.length,
            micro_batches_per_gather: self.micro_batches_per_gather,
            activation_checkpointing: self.activation_checkpointing,
        };
        match self.precision {
            // The buffers of the CPU kernels depend on the number of threads.
            Precision::Fp32 if self.on_cpu => {
                ActivationMemory::fast(model, &shape, rayon::current_num_threads())
            }
            precision => ActivationMemory::composed(model, &shape, precision),
        }
    }

    /// Forward and backward passes per optimizer step, each with one gather of all weights.
    pub fn forward_backward(&self) -> usize {
        self.batch_size
            .div_ceil(self.members)
            .div_ceil(self.micro_batch_size)
            .div_ceil(self.micro_batches_per_gather)
    }
}

/// The activation checkpointing of `config`.
fn activation_checkpointing(config: &Config) -> ActivationCheckpointing {
    match config.memory.activation_checkpointing {
        CheckpointedLayers::None => ActivationCheckpointing::None,
        CheckpointedLayers::Blocks => {
            ActivationCheckpointing::Every(config.memory.activation_checkpoint_every)
        }
    }
}

/// Peak memory of one device of the list, in bytes.
///
/// `cpu:4` lists the CPU four times, and its memory has to hold four of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Its shard of the fp32 weights.
    pub weights: u64,
    /// Its shard of the fp32 gradients.
    pub gradients: u64,
    /// Both AdamW moments of its shard.
    pub moments: u64,
    /// Gathered weights of the current and the next FSDP unit. On one device, the weights of a unit
    /// cast to bf16, or 0 in fp32.
    pub gathered: u64,
    /// Gradients of a unit in fp32 before they are reduced to shards. On one device, the zeros of
    /// the largest parameter while they are created.
    pub sums: u64,
    /// Activations that the forward pass keeps for the backward pass.
    pub activations: u64,
    /// Largest temporary buffers of a pass, logits included.
    pub working: u64,
}

impl DeviceMemory {
    /// Bytes that stay allocated between steps.
    pub fn persistent(&self) -> u64 {
        self.weights + self.gradients + self.moments
    }

    /// The sum of all parts.
    pub fn peak(&self) -> u64 {
        self.persistent() + self.gathered + self.sums + self.activations + self.working
    }
}

/// Host memory of a peer in a distributed run, in bytes, in addition to the memory of its devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// The shared weights at the start of the round, in fp32.
    pub replica: u64,
    /// The part of the pseudo-gradients that was not sent.
    pub error_feedback: u64,
    /// Trained weights and pseudo-gradient, while a delta is compressed.
    pub exchange: u64,
    /// Weights, moments and error feedback, while a checkpoint is written.
    pub checkpoint: u64,
}

impl HostMemory {
    /// The host memory of a peer that trains `model`.
    pub fn new(model: &ModelConfig) -> Self {
        let whole = 4 * model.num_parameters();
        Self { replica: whole, error_feedback: whole, exchange: 2 * whole, checkpoint: 4 * whole }
    }

    /// The peak over a round.
    pub fn peak(&self) -> u64 {
        // A delta is compressed before the checkpoint is written, so the larger of both counts.
        self.replica + self.error_feedback + self.exchange.max(self.checkpoint)
    }
}

/// The peak memory of all devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// One entry per device of the list.
    pub members: Vec<DeviceMemory>,
}

impl MemoryPlan {
    /// The memory for training `model`.
    ///
    /// # Errors
    /// [`FsdpError`] if the model cannot be divided among so many devices.
    pub fn new(model: &ModelConfig, needs: Needs) -> Result<Self, FsdpError> {
        let plan = super::shard_plan::plan(model, needs.members)?;
        let pass = needs.activation_memory(model);
        let (gathered, sums) = transfers(&plan, needs.precision, model.tied);
        let members = (0..needs.members).map(|member| {
            let owned = 4 * plan.owned(member) as u64;
            DeviceMemory {
                weights: owned,
                gradients: owned,
                // AdamW has a first and a second moment, both in fp32.
                moments: 2 * owned,
                gathered,
                sums,
                activations: pass.kept,
                working: pass.logits + pass.working,
            }
        });
        Ok(Self { members: members.collect() })
    }

    /// The largest need of any entry of the device list.
    pub fn peak(&self) -> u64 {
        self.members.iter().map(DeviceMemory::peak).max().unwrap_or(0)
    }

    /// The largest need of any device in `devices`, counting all entries for the same device.
    pub fn peak_of_devices(&self, devices: &DeviceList) -> u64 {
        (0..self.members.len())
            .map(|member| self.peak() * devices.sharers(member) as u64)
            .max()
            .unwrap_or(0)
    }
}

/// Bytes of gathered weights and of unreduced gradients at the peak of a step.
///
/// The peak is a gather while the previous unit computes, a backward pass with the next unit
/// already gathered, or a reduce-scatter.
fn transfers(plan: &Plan, precision: Precision, tied: bool) -> (u64, u64) {
    let transit = Transit { plan, precision, tied };
    if plan.members() == 1 { transit.of_one() } else { transit.of_several() }
}

/// The memory of transfers in a step, for each unit. The last unit is the head.
struct Transit<'a> {
    plan: &'a Plan,
    precision: Precision,
    tied: bool,
}

impl Transit<'_> {
    /// One device owns whole weights and gradients; only casts to bf16 and new zeros need memory.
    fn of_one(&self) -> (u64, u64) {
        let parameters = 0..self.plan.num_parameters();
        // On the CPU, Burn holds the zeros of a parameter twice while it creates them.
        let largest = parameters.map(|parameter| self.plan.elements(parameter)).max().unwrap_or(0);
        let cast = (0..self.plan.num_units())
            .map(|unit| self.weights(unit) + self.kept_over_head(unit))
            .max();
        (cast.filter(|_| self.precision == Precision::Bf16).unwrap_or(0), 4 * largest as u64)
    }

    fn of_several(&self) -> (u64, u64) {
        let units = 0..self.plan.num_units();
        let moments =
            units.flat_map(|unit| [self.gather(unit), self.backward(unit), self.reduction(unit)]);
        moments.max_by_key(|(weights, sums)| weights + sums).unwrap_or_default()
    }

    /// A unit is gathered, with shards padded to the longest, while the previous unit computes.
    fn gather(&self, unit: usize) -> (u64, u64) {
        let padded =
            (self.members() * self.plan.padded(unit) as u64) * self.precision.bytes() as u64;
        let before = if unit > 0 { self.weights(unit - 1) } else { 0 };
        let table = if self.tied && self.is_head(unit) { self.whole(0) } else { 0 };
        (before + padded + self.whole(unit) / self.members() + table, 0)
    }

    /// A unit's gradients are computed while the previous unit is gathered again.
    fn backward(&self, unit: usize) -> (u64, u64) {
        let sums = self.sums(unit);
        // The backward pass of the embedding needs no weights.
        let weights = if unit > 0 { self.weights(unit) + self.whole(unit - 1) } else { 0 };
        (weights, sums + sums / self.members())
    }

    /// A reduce-scatter turns gradients into shards.
    fn reduction(&self, unit: usize) -> (u64, u64) {
        let padded = 4 * self.members() * self.plan.padded(unit) as u64;
        let held = if unit > 0 { self.whole(unit - 1) } else { 0 };
        (held, padded.max(self.sums(unit)) + 2 * self.sums(unit) / self.members())
    }

    /// The last block stays gathered while the head computes: the backward pass starts with it.
    fn kept_over_head(&self, unit: usize) -> u64 {
        if self.is_head(unit) { self.whole(unit - 1) } else { 0 }
    }

    /// Whole weights with which a unit computes; a tied head needs the embedding table again.
    fn weights(&self, unit: usize) -> u64 {
        self.whole(unit) + if self.tied && self.is_head(unit) { self.whole(0) } else { 0 }
    }

    /// Whole fp32 gradients to which the backward pass of a unit adds.
    fn sums(&self, unit: usize) -> u64 {
        let table = if self.tied && self.is_head(unit) { self.plan.unit_elements(0) } else { 0 };
        4 * (self.plan.unit_elements(unit) + table) as u64
    }

    fn whole(&self, unit: usize) -> u64 {
        (self.plan.unit_elements(unit) * self.precision.bytes()) as u64
    }

    fn is_head(&self, unit: usize) -> bool {
        unit + 1 == self.plan.num_units()
    }

    fn members(&self) -> u64 {
        self.plan.members() as u64
    }
}
