//! A network that learns on one device or on several: passes, shards, optimizer and schedule, one step at a time.

use std::ops::Range;

use burn::tensor::Device;
use covey_model::config::{ModelConfig, ParameterSpec, Precision};
use covey_model::error::BatchError;
use covey_model::network::{ForwardBackward, TokenBatch};
use covey_optim::error::OptimError;
use covey_optim::fsdp::{FsdpError, ShardBytes, ShardedParameters};
use covey_optim::inner::{AdamWState, Moments, Schedule, clip_scale};
use covey_optim::sparseloco::top_k::TopK;

use crate::eval::LanguageModel;
use crate::system::device::measured_peak;
use crate::training::checkpoint::{NamedTensor, SavedMoments, SavedTensor};
use crate::training::learner::LearnError;
use crate::training::learner::LearnerWeights;
use crate::training::plan::{micro_batches, together};

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOutcome {
    /// Mean cross-entropy over the step's tokens, in nats.
    pub loss: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate used.
    pub learning_rate: f64,
}

/// The inner loop's state: everything that a step reads and writes.
///
/// Weights, gradients and moments lie in pieces on the devices; a unit of the network is brought together for as long as
/// it computes. One device holds whole tensors, and nothing is moved then.
#[derive(Debug)]
pub struct Learner {
    pub(super) model: ModelConfig,
    pub(super) forward_backward: ForwardBackward,
    pub(super) shards: ShardedParameters,
    /// What finds the largest values on each member's device.
    pub(super) selects: Vec<Box<dyn TopK>>,
    pub(super) schedule: Schedule,
    pub(super) clip_norm: Option<f64>,
    pub(super) micro_batch_size: usize,
    /// Micro-batches of a member that pass the network together.
    pub(super) gather_for: usize,
    pub(super) precision: Precision,
    /// Bytes of each device at the peak, as planned.
    pub(super) memory: u64,
    pub(super) step: u64,
    pub(super) tokens: u64,
    /// What the schedule's rate is multiplied with.
    pub(super) rate_ratio: f64,
}

impl Learner {
    /// The same, as it stood after `step` steps and `tokens` tokens, with the moments of `updates` updates.
    ///
    /// `moments` gives them by ranges of one parameter after the other; none at all if there were no updates.
    ///
    /// # Errors
    /// Whatever `moments` returns, and moments of another network.
    pub fn at(
        mut self,
        step: u64,
        tokens: u64,
        updates: u64,
        mut moments: impl FnMut(&ParameterSpec, Range<usize>) -> anyhow::Result<Option<Moments>>,
    ) -> anyhow::Result<Self> {
        let parameters = self.model.parameters();
        let specs: Vec<&ParameterSpec> = parameters.iter().collect();
        self.shards.restore_pieces(updates, |parameter, range| moments(specs[parameter], range))?;
        Ok(Self { step, tokens, ..self })
    }

    /// [`Learner::at`] with a whole optimizer's state at hand.
    ///
    /// # Errors
    /// A state of another network.
    pub fn resume(
        mut self,
        step: u64,
        tokens: u64,
        optimizer: &AdamWState,
    ) -> anyhow::Result<Self> {
        self.shards.restore(optimizer)?;
        Ok(Self { step, tokens, ..self })
    }

    /// Puts other weights in the place of its own, in canonical order; moments stay.
    ///
    /// # Errors
    /// [`FsdpError`] for weights of another network.
    pub fn set_weights<'a>(
        &mut self,
        weights: impl IntoIterator<Item = &'a [f32]>,
    ) -> Result<(), FsdpError> {
        let numbered = weights.into_iter().enumerate();
        numbered
            .into_iter()
            .try_for_each(|(parameter, values)| self.shards.set_weight(parameter, values))
    }

    /// Puts other values in the place of one parameter, by its place in canonical order; moments stay.
    ///
    /// # Errors
    /// [`FsdpError`] for another length than the parameter's.
    pub fn set_weight(&mut self, parameter: usize, values: &[f32]) -> Result<(), FsdpError> {
        self.shards.set_weight(parameter, values)
    }

    /// Sets the clock of the schedule: the next step is number `step`, counted from 0.
    pub fn set_step(&mut self, step: u64) {
        self.step = step;
    }

    /// Multiplies the schedule's learning rate with `ratio` from the next step on.
    pub fn set_rate_ratio(&mut self, ratio: f64) {
        self.rate_ratio = ratio;
    }

    /// Steps made.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Tokens learned from.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The network's shape.
    pub fn model(&self) -> &ModelConfig {
        &self.model
    }

    /// Devices that share it.
    pub fn members(&self) -> usize {
        self.forward_backward.decoders().len()
    }

    /// Learns from one batch: gradients of all micro-batches, clipped to the global norm, one AdamW update.
    ///
    /// `tokens` are windows of `length` + 1 tokens, one behind the other.
    ///
    /// # Errors
    /// [`LearnError`]; nothing but the gradients has changed then.
    pub fn step(&mut self, tokens: &[u32], length: usize) -> Result<StepOutcome, LearnError> {
        let step = self.step + 1;
        let targets = tokens.len() / (length + 1) * length;
        let loss = self.accumulate(tokens, length, targets)? / targets as f64;
        let grad_norm =
            self.shards.gradient_norm().map_err(|error| self.norm_error(step, loss, error))?;
        let scale = self.clip_norm.map_or(1.0, |longest| clip_scale(grad_norm, longest));
        let learning_rate = self.schedule.learning_rate(self.step) * self.rate_ratio;
        self.shards
            .step(learning_rate, scale)
            .map_err(|source| LearnError::Optimizer { step, source })?;
        self.step = step;
        self.tokens += targets as u64;
        Ok(StepOutcome { loss, grad_norm, learning_rate })
    }

    /// Fills the gradients with those of the mean loss over all `targets`, and returns the sum of the losses.
    fn accumulate(
        &mut self,
        tokens: &[u32],
        length: usize,
        targets: usize,
    ) -> Result<f64, LearnError> {
        let batches = self.micro_batches(tokens, length).map_err(|source| {
            let step = self.step + 1;
            LearnError::Batch { step, source }
        })?;
        self.shards.clear_gradients();
        let (mut home, scale) =
            (LearnerWeights::of(&mut self.shards, &self.model), 1.0 / targets as f64);
        let losses = together(&batches, self.gather_for);
        Ok(losses
            .map(|batches| self.forward_backward.loss_backward(&mut home, &batches, scale))
            .sum())
    }

    fn micro_batches(
        &self,
        tokens: &[u32],
        length: usize,
    ) -> Result<Vec<Vec<TokenBatch>>, BatchError> {
        micro_batches(tokens, length, self.members(), self.micro_batch_size, &self.model)
    }

    fn norm_error(&self, step: u64, loss: f64, error: OptimError) -> LearnError {
        match error {
            OptimError::NonFiniteGradient { index, .. } => {
                let parameters = self.model.parameters();
                let parameter =
                    parameters.iter().nth(index).map_or_else(String::new, |spec| spec.name.clone());
                LearnError::NonFinite { step, parameter, loss }
            }
            source => LearnError::Optimizer { step, source },
        }
    }

    /// Makes room on the devices while nothing is learned: moments go to the memory of the machine.
    pub fn rest(&mut self) {
        self.shards.offload_moments();
    }

    /// Begins to bring the moments back; the transfer runs beside the first passes, and the first step waits for it.
    pub fn wake(&mut self) {
        self.shards.reload_moments();
    }

    /// Copies of the weights, named as on the Hub, in canonical order.
    pub fn named_weights(&self) -> Vec<NamedTensor> {
        let parameters = self.model.parameters();
        let named =
            |(index, ParameterSpec { name, shape, .. }): (usize, &ParameterSpec)| NamedTensor {
                name: name.clone(),
                shape: shape.clone(),
                values: self.shards.weight(index),
            };
        parameters.iter().enumerate().map(named).collect()
    }

    /// The same as the devices have it, piece by piece.
    pub fn saved_weights(&self) -> Vec<SavedTensor> {
        let parameters = self.model.parameters();
        let saved =
            |(index, ParameterSpec { name, shape, .. }): (usize, &ParameterSpec)| SavedTensor {
                name: name.clone(),
                shape: shape.clone(),
                values: self.shards.weight_pieces(index).collect(),
            };
        parameters.iter().enumerate().map(saved).collect()
    }

    /// Copies of the optimizer's moments in the same order, piece by piece, and the number of updates behind them.
    pub fn saved_moments(&self) -> (u64, Vec<SavedMoments>) {
        let updates = self.shards.steps();
        let parameters = 0..self.shards.plan().num_parameters();
        let saved = parameters.filter(|_| updates > 0).map(|parameter| {
            let (first, second): (Vec<_>, Vec<_>) = self
                .shards
                .moment_pieces(parameter)
                .map(|piece| (piece.first, piece.second))
                .unzip();
            SavedMoments {
                first: first.into_iter().collect(),
                second: second.into_iter().collect(),
            }
        });
        (updates, saved.collect())
    }

    /// Bytes of weights, gradients and moments that a member holds now, as its tensors say it.
    pub fn bytes(&self, member: usize) -> ShardBytes {
        self.shards.bytes(member)
    }

    /// Bytes that each device holds at its peak, as planned.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Floating-point operations per second that matrix products reach on all devices together.
    pub fn measured_peak(&self) -> f64 {
        let mut devices: Vec<&Device> = Vec::new();
        for device in self.shards.devices() {
            if !devices.contains(&device) {
                devices.push(device);
            }
        }
        devices.into_iter().map(|device| measured_peak(device, self.precision)).sum()
    }
}

/// Held-out windows are read by all members side by side.
impl LanguageModel for Learner {
    fn members(&self) -> usize {
        self.members()
    }

    fn loss(&mut self, tokens: &[u32], windows: usize) -> Result<f64, BatchError> {
        let length = (tokens.len() / windows.max(1)).saturating_sub(1);
        let batches = self.micro_batches(tokens, length)?;
        let mut home = LearnerWeights::of(&mut self.shards, &self.model);
        let losses = together(&batches, self.gather_for)
            .flat_map(|batches| self.forward_backward.loss(&mut home, &batches));
        Ok(losses.sum())
    }
}
