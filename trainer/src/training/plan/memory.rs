//! Bytes that training holds at its peak: on every device, and in the memory of the machine.

use covey_model::config::{ActivationCheckpointing, ModelConfig, Precision};
use covey_model::cost::{ActivationMemory, StepShape};
use covey_optim::fsdp::{FsdpError, Plan};

use crate::config::schema::{Config, RecomputeKind};
use crate::system::device::{DeviceKind, DeviceList};

/// What memory depends on, apart from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Members that share the network.
    pub members: usize,
    /// Sequences of an optimizer step, over all members.
    pub batch_size: usize,
    /// Sequences of a forward and backward pass of one member at most.
    pub micro_batch_size: usize,
    /// Micro-batches that pass a unit while it is gathered.
    pub gather_for: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// Which blocks are computed again.
    pub recompute: ActivationCheckpointing,
    /// Numbers of the passes.
    pub precision: Precision,
    /// Whether members are the CPU, which has kernels of its own.
    pub on_cpu: bool,
}

impl Needs {
    /// What `config` asks for on `devices`.
    pub fn of(config: &Config, devices: &DeviceList) -> Self {
        let (train, members) = (&config.train, devices.members());
        let own = train.batch_size.div_ceil(members);
        let micro_batch_size = train.micro_batch_size.min(own);
        let all = own.div_ceil(micro_batch_size);
        let gather_for = config.memory.gather_for.unwrap_or(if members == 1 { 1 } else { all });
        Self {
            members,
            batch_size: train.batch_size,
            micro_batch_size,
            gather_for: gather_for.min(all),
            length: config.data.sequence_length,
            recompute: recompute(config),
            precision: train.precision,
            on_cpu: devices.kind() == DeviceKind::Cpu,
        }
    }

    /// Buffers of the passes of one member.
    fn step(&self, model: &ModelConfig) -> ActivationMemory {
        let shape = StepShape {
            sequences: self.micro_batch_size,
            length: self.length,
            together: self.gather_for,
            activation_checkpointing: self.recompute,
        };
        match self.precision {
            Precision::Fp32 if self.on_cpu => {
                ActivationMemory::fast(model, &shape, rayon::current_num_threads())
            }
            precision => ActivationMemory::composed(model, &shape, precision),
        }
    }

    /// Times that micro-batches pass the network in a step.
    pub fn forward_backward(&self) -> usize {
        self.batch_size
            .div_ceil(self.members)
            .div_ceil(self.micro_batch_size)
            .div_ceil(self.gather_for)
    }
}

/// Which blocks `config` has computed again.
fn recompute(config: &Config) -> ActivationCheckpointing {
    match config.memory.recompute {
        RecomputeKind::None => ActivationCheckpointing::None,
        RecomputeKind::Blocks => ActivationCheckpointing::Every(config.memory.recompute_every),
    }
}

/// Bytes that one member holds when most is alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberMemory {
    /// Its part of the fp32 weights.
    pub weights: u64,
    /// Its part of the fp32 gradients.
    pub gradients: u64,
    /// AdamW's two means of its part.
    pub moments: u64,
    /// Whole weights of the units that compute or come next; nothing where weights are whole anyway.
    pub gathered: u64,
    /// Whole fp32 gradients of a unit on their way to their owners; on one device, a parameter's zeros being made.
    pub sums: u64,
    /// What the forward pass keeps for the backward pass.
    pub activations: u64,
    /// Buffers of the pass at its fullest moment, logits among them.
    pub working: u64,
}

impl MemberMemory {
    /// What stays from step to step.
    pub fn persistent(&self) -> u64 {
        self.weights + self.gradients + self.moments
    }

    /// All of it.
    pub fn peak(&self) -> u64 {
        self.persistent() + self.gathered + self.sums + self.activations + self.working
    }
}

/// Bytes of the machine's own memory that a peer of a common run holds beside its devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// The shared weights at the start of the round, fp32.
    pub replica: u64,
    /// What the peer has not told others.
    pub error_feedback: u64,
    /// Trained weights and pseudo-gradient, while a delta is made.
    pub exchange: u64,
    /// Weights, moments and error feedback, while a checkpoint is written.
    pub checkpoint: u64,
}

impl HostMemory {
    /// What a peer that trains `model` needs.
    pub fn new(model: &ModelConfig) -> Self {
        let whole = 4 * model.num_parameters();
        Self { replica: whole, error_feedback: whole, exchange: 2 * whole, checkpoint: 4 * whole }
    }

    /// All of it; a delta is made before the checkpoint is written, so the larger of both counts.
    pub fn peak(&self) -> u64 {
        self.replica + self.error_feedback + self.exchange.max(self.checkpoint)
    }
}

/// The memory of every member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// One entry per member.
    pub members: Vec<MemberMemory>,
}

impl MemoryPlan {
    /// What training `model` needs.
    ///
    /// # Errors
    /// [`FsdpError`] if so many members cannot share it.
    pub fn new(model: &ModelConfig, needs: Needs) -> Result<Self, FsdpError> {
        let plan = super::shard_plan::plan(model, needs.members)?;
        let step = needs.step(model);
        let (gathered, sums) = transfers(&plan, needs.precision, model.tied);
        let member = |member| {
            let owned = 4 * plan.owned(member) as u64;
            MemberMemory {
                weights: owned,
                gradients: owned,
                moments: 2 * owned,
                gathered,
                sums,
                activations: step.kept,
                working: step.logits + step.working,
            }
        };
        Ok(Self { members: (0..needs.members).map(member).collect() })
    }

    /// The most that any member needs.
    pub fn peak(&self) -> u64 {
        self.members.iter().map(MemberMemory::peak).max().unwrap_or(0)
    }

    /// The most that any device of `devices` needs for all members on it.
    pub fn peak_of_devices(&self, devices: &DeviceList) -> u64 {
        (0..self.members.len())
            .map(|member| self.peak() * devices.sharers(member) as u64)
            .max()
            .unwrap_or(0)
    }
}

/// What is whole at the fullest moment: bytes of weights, bytes of gradients.
///
/// That moment is a gather with the unit before still there, a backward pass with the next unit already there, or a
/// reduction. Where Burn makes zeros on the CPU, it has them twice for a moment.
fn transfers(plan: &Plan, precision: Precision, tied: bool) -> (u64, u64) {
    let transit = Transit { plan, precision, tied };
    if plan.members() == 1 { transit.of_one() } else { transit.of_several() }
}

/// The moments of a step, unit by unit; the last unit is the head.
struct Transit<'a> {
    plan: &'a Plan,
    precision: Precision,
    tied: bool,
}

impl Transit<'_> {
    /// Weights are whole already, unless they are cast, and so are gradients.
    fn of_one(&self) -> (u64, u64) {
        let parameters = 0..self.plan.num_parameters();
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

    /// A unit arrives, every share padded to the longest, while the one before it computes.
    fn gather(&self, unit: usize) -> (u64, u64) {
        let padded =
            (self.members() * self.plan.padded(unit) as u64) * self.precision.bytes() as u64;
        let before = if unit > 0 { self.weights(unit - 1) } else { 0 };
        let table = if self.tied && self.is_head(unit) { self.whole(0) } else { 0 };
        (before + padded + self.whole(unit) / self.members() + table, 0)
    }

    fn backward(&self, unit: usize) -> (u64, u64) {
        let sums = self.sums(unit);
        // The embedding's way back needs no weights.
        let weights = if unit > 0 { self.weights(unit) + self.whole(unit - 1) } else { 0 };
        (weights, sums + sums / self.members())
    }

    /// Sums turn into shares member by member.
    fn reduction(&self, unit: usize) -> (u64, u64) {
        let padded = 4 * self.members() * self.plan.padded(unit) as u64;
        let held = if unit > 0 { self.whole(unit - 1) } else { 0 };
        (held, padded.max(self.sums(unit)) + 2 * self.sums(unit) / self.members())
    }

    /// The last block stays while the head computes, and begins the way back.
    fn kept_over_head(&self, unit: usize) -> u64 {
        if self.is_head(unit) { self.whole(unit - 1) } else { 0 }
    }

    /// Whole weights that a unit computes with.
    fn weights(&self, unit: usize) -> u64 {
        self.whole(unit) + if self.tied && self.is_head(unit) { self.whole(0) } else { 0 }
    }

    /// Whole gradients that a unit's way back adds to.
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
