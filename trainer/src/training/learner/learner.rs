//! The training step: forward and backward passes, clipping, and one AdamW update.

use crate::system::error::Result;
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
use crate::training::learner::{LearnError, ShardedWeights};
use crate::training::plan::{micro_batches, together};

/// Measurements of one training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOutcome {
    /// Mean cross-entropy over the step's tokens, in nats.
    pub loss: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
}

/// A model in training, on one device or sharded over several.
///
/// Each device owns a shard of the weights, gradients and moments, in fp32. The weights of an FSDP
/// unit are gathered for the time in which it computes. A single device owns whole tensors, and
/// nothing is moved.
#[derive(Debug)]
pub struct Learner {
    pub(super) model: ModelConfig,
    pub(super) forward_backward: ForwardBackward,
    pub(super) shards: ShardedParameters,
    /// The top-k selection kernel of each device.
    pub(super) top_k: Vec<Box<dyn TopK>>,
    pub(super) schedule: Schedule,
    pub(super) clip_norm: Option<f64>,
    pub(super) micro_batch_size: usize,
    /// Micro-batches per device that use the weights of one gather.
    pub(super) micro_batches_per_gather: usize,
    pub(super) precision: Precision,
    /// Planned peak of each device in bytes.
    pub(super) memory: u64,
    pub(super) step: u64,
    pub(super) tokens: u64,
    /// Factor on the learning rate of the schedule.
    pub(super) rate_ratio: f64,
}

impl Learner {
    /// Restores counters and moments of a learner that has made `step` steps on `tokens` tokens.
    ///
    /// `moments` returns a range of a parameter's moments, in canonical order, so no more than one
    /// range is in memory; `None` if there were no `updates`.
    ///
    /// # Errors
    /// Errors of `moments`, and moments of another model.
    pub fn resume_sharded(
        mut self,
        step: u64,
        tokens: u64,
        updates: u64,
        mut moments: impl FnMut(&ParameterSpec, Range<usize>) -> Result<Option<Moments>>,
    ) -> Result<Self> {
        let parameters = self.model.parameters();
        let specs: Vec<&ParameterSpec> = parameters.iter().collect();
        self.shards.restore_pieces(updates, |parameter, range| moments(specs[parameter], range))?;
        Ok(Self { step, tokens, ..self })
    }

    /// [`Learner::resume_sharded`] from an optimizer state in host memory.
    ///
    /// # Errors
    /// A state of another model.
    pub fn resume(mut self, step: u64, tokens: u64, optimizer: &AdamWState) -> Result<Self> {
        self.shards.restore(optimizer)?;
        Ok(Self { step, tokens, ..self })
    }

    /// Replaces the weights, in canonical order. Moments stay.
    ///
    /// # Errors
    /// [`FsdpError`] for weights of another model.
    pub fn set_weights<'a>(
        &mut self,
        weights: impl IntoIterator<Item = &'a [f32]>,
    ) -> Result<(), FsdpError> {
        let numbered = weights.into_iter().enumerate();
        numbered
            .into_iter()
            .try_for_each(|(parameter, values)| self.shards.set_weight(parameter, values))
    }

    /// Replaces the values of one parameter, given by its index in canonical order. Moments stay.
    ///
    /// # Errors
    /// [`FsdpError`] if the length differs from the length of the parameter.
    pub fn set_weight(&mut self, parameter: usize, values: &[f32]) -> Result<(), FsdpError> {
        self.shards.set_weight(parameter, values)
    }

    /// Sets the number of completed steps, on which the schedule depends.
    pub fn set_step(&mut self, step: u64) {
        self.step = step;
    }

    /// Multiplies the learning rate of the schedule by `ratio`, starting with the next step.
    pub fn set_rate_ratio(&mut self, ratio: f64) {
        self.rate_ratio = ratio;
    }

    /// Completed steps.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Tokens seen in training.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The model configuration.
    pub fn model(&self) -> &ModelConfig {
        &self.model
    }

    /// Number of devices that share the model. A device that is listed twice counts twice.
    pub fn members(&self) -> usize {
        self.forward_backward.decoders().len()
    }

    /// One training step: gradients of all micro-batches, clipping by global norm, one AdamW
    /// update.
    ///
    /// `tokens` contains windows of `length` + 1 tokens in sequence.
    ///
    /// # Errors
    /// [`LearnError`]. Weights, moments and counters are then unchanged.
    pub fn step(&mut self, tokens: &[u32], length: usize) -> Result<StepOutcome, LearnError> {
        let step = self.step + 1;
        let targets = tokens.len() / (length + 1) * length;
        let loss = self.accumulate(tokens, length, targets)? / targets as f64;
        let grad_norm =
            self.shards.gradient_norm().map_err(|error| self.norm_error(step, loss, error))?;
        // The norm covers all gradients, so a NaN or an infinity is found before any weight
        // changes.
        let scale = self.clip_norm.map_or(1.0, |limit| clip_scale(grad_norm, limit));
        let learning_rate = self.schedule.learning_rate(self.step) * self.rate_ratio;
        self.shards
            .step(learning_rate, scale)
            .map_err(|source| LearnError::Optimizer { step, source })?;
        self.step = step;
        self.tokens += targets as u64;
        Ok(StepOutcome { loss, grad_norm, learning_rate })
    }

    /// Computes the gradients of the mean loss over `targets`, and returns the sum of the losses.
    fn accumulate(
        &mut self,
        tokens: &[u32],
        length: usize,
        targets: usize,
    ) -> Result<f64, LearnError> {
        let batches = self
            .micro_batches(tokens, length)
            .map_err(|source| LearnError::Batch { step: self.step + 1, source })?;
        // After the check of the batch: a rejected batch leaves the gradients as they are.
        self.shards.clear_gradients();
        let mut weights = ShardedWeights::new(&mut self.shards, &self.model);
        // Scaling the losses makes the sum over micro-batches the gradient of the mean, without
        // another pass over the gradients.
        let scale = 1.0 / targets as f64;
        let losses = together(&batches, self.micro_batches_per_gather);
        Ok(losses
            .map(|batches| self.forward_backward.loss_backward(&mut weights, &batches, scale))
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

    /// Moves the moments to host memory, which frees device memory while no step is made.
    pub fn offload_moments(&mut self) {
        self.shards.offload_moments();
    }

    /// Starts to move the moments back. The transfer overlaps with the next forward and backward
    /// pass, and the next update waits for it.
    pub fn reload_moments(&mut self) {
        self.shards.reload_moments();
    }

    /// Copies of the weights in canonical order, with their names on the Hub.
    pub fn named_weights(&self) -> Vec<NamedTensor> {
        let parameters = self.model.parameters();
        let numbered = parameters.iter().enumerate();
        numbered
            .map(|(index, spec)| NamedTensor {
                name: spec.name.clone(),
                shape: spec.shape.clone(),
                values: self.shards.weight(index),
            })
            .collect()
    }

    /// [`Learner::named_weights`] in the pieces in which the devices hold them.
    pub fn saved_weights(&self) -> Vec<SavedTensor> {
        let parameters = self.model.parameters();
        let numbered = parameters.iter().enumerate();
        numbered
            .map(|(index, spec)| SavedTensor {
                name: spec.name.clone(),
                shape: spec.shape.clone(),
                values: self.shards.weight_pieces(index).collect(),
            })
            .collect()
    }

    /// The number of optimizer updates, and copies of the moments in canonical order, in pieces.
    ///
    /// Before the first update there are no moments.
    pub fn saved_moments(&self) -> (u64, Vec<SavedMoments>) {
        let updates = self.shards.steps();
        let parameters = 0..self.shards.plan().num_parameters();
        // Before the first update all moments are 0, and saving them would triple the checkpoint.
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

    /// Bytes of weights, gradients and moments on device `member`, counted from its tensors.
    pub fn bytes(&self, member: usize) -> ShardBytes {
        self.shards.bytes(member)
    }

    /// Planned peak of each device in bytes.
    ///
    /// A device that is listed several times holds the shards of all its entries.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Measured floating-point operations per second of matrix products, summed over all devices.
    ///
    /// Takes about a second.
    pub fn measured_peak(&self) -> f64 {
        // A device that is listed several times is measured once.
        let mut devices: Vec<&Device> = Vec::new();
        for device in self.shards.devices() {
            if !devices.contains(&device) {
                devices.push(device);
            }
        }
        devices.into_iter().map(|device| measured_peak(device, self.precision)).sum()
    }
}

/// All devices score held-out windows in parallel.
impl LanguageModel for Learner {
    fn members(&self) -> usize {
        self.members()
    }

    fn loss(&mut self, tokens: &[u32], windows: usize) -> Result<f64, BatchError> {
        let length = (tokens.len() / windows.max(1)).saturating_sub(1);
        let batches = self.micro_batches(tokens, length)?;
        let mut weights = ShardedWeights::new(&mut self.shards, &self.model);
        let losses = together(&batches, self.micro_batches_per_gather)
            .flat_map(|batches| self.forward_backward.loss(&mut weights, &batches));
        Ok(losses.sum())
    }
}
