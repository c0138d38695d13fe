//! A network that learns: weights, gradients, optimizer and schedule, one step at a time.

use covey_model::{BatchError, Decoder, ParameterSpec, TokenBatch, Weights};
use covey_optim::{AdamW, AdamWState, OptimError, Schedule, clear, clip_scale, global_norm};

use crate::checkpoint::{Moments, NamedTensor};
use crate::config::Config;
use crate::model_folder::flat_tensor;

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

/// A step that could not be made; weights and moments are as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// The batch does not fit the network.
    #[error("the batch of step {step} cannot be read")]
    Batch {
        /// The step, counted from 1.
        step: u64,
        /// What is wrong with it.
        source: BatchError,
    },
    /// A gradient has a NaN or an infinity in it.
    #[error("at step {step} the gradient of {parameter} is not finite (loss {loss})")]
    NonFinite {
        /// The step, counted from 1.
        step: u64,
        /// The Hub's name of the first such parameter.
        parameter: String,
        /// Mean loss of the step.
        loss: f64,
    },
    /// The optimizer refuses its tensors.
    #[error("step {step} cannot be applied")]
    Optimizer {
        /// The step, counted from 1.
        step: u64,
        /// Its reason.
        source: OptimError,
    },
}

impl LearnError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Batch { source, .. } => source.hint(),
            Self::NonFinite { .. } => Some(
                "choose a lower learning rate: begin again, or go on from the last checkpoint with \
                 `--resume --set optim.learning_rate=…`"
                    .into(),
            ),
            Self::Optimizer { .. } => None,
        }
    }
}

/// The inner loop's state: everything that a step reads and writes.
#[derive(Debug)]
pub struct Learner {
    decoder: Decoder,
    weights: Weights,
    gradients: Weights,
    optimizer: AdamW,
    schedule: Schedule,
    clip_norm: Option<f64>,
    micro_batch_size: usize,
    step: u64,
    tokens: u64,
    /// What the schedule's rate is multiplied with.
    rate_ratio: f64,
}

impl Learner {
    /// A learner that has made no step.
    pub fn new(decoder: Decoder, weights: Weights, config: &Config) -> Self {
        Self {
            gradients: decoder.zeros(),
            decoder,
            weights,
            optimizer: AdamW::new(config.adamw()),
            schedule: config.schedule(),
            clip_norm: config.optim.clip_norm,
            micro_batch_size: config.train.micro_batch_size,
            step: 0,
            tokens: 0,
            rate_ratio: 1.0,
        }
    }

    /// The same, as it stood after `step` steps and `tokens` tokens.
    #[must_use]
    pub fn at(self, step: u64, tokens: u64, optimizer: AdamWState, config: &Config) -> Self {
        let optimizer = AdamW::restore(config.adamw(), optimizer, self.decoder.device());
        Self { optimizer, step, tokens, ..self }
    }

    /// Puts other weights in the place of its own, in canonical order; moments stay.
    pub fn set_weights<'a>(&mut self, weights: impl IntoIterator<Item = &'a [f32]>) {
        let device = self.decoder.device();
        for (own, values) in self.weights.iter_mut().zip(weights) {
            *own = flat_tensor(values.to_vec(), device);
        }
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

    /// The network.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Its weights as they are now.
    pub fn weights(&self) -> &Weights {
        &self.weights
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
        let grad_norm = global_norm(self.gradients.iter()).map_err(|error| self.norm_error(step, loss, error))?;
        let scale = self.clip_norm.map_or(1.0, |longest| clip_scale(grad_norm, longest));
        let learning_rate = self.schedule.learning_rate(self.step) * self.rate_ratio;
        let updates = self.weights.iter_mut().zip(self.gradients.iter());
        let updated = self.optimizer.step(updates, learning_rate, scale);
        updated.map_err(|source| LearnError::Optimizer { step, source })?;
        self.step = step;
        self.tokens += targets as u64;
        Ok(StepOutcome { loss, grad_norm, learning_rate })
    }

    /// Fills the gradients with those of the mean loss over all `targets`, and returns the sum of the losses.
    fn accumulate(&mut self, tokens: &[u32], length: usize, targets: usize) -> Result<f64, LearnError> {
        clear(self.gradients.iter_mut());
        let mut loss = 0.0;
        for tokens in tokens.chunks(self.micro_batch_size * (length + 1)) {
            let micro_batch = TokenBatch::new(tokens, tokens.len() / (length + 1), self.decoder.config())
                .map_err(|source| LearnError::Batch { step: self.step + 1, source })?;
            let scale = 1.0 / targets as f64;
            loss += self.decoder.loss_backward(&self.weights, &micro_batch, scale, &mut self.gradients);
        }
        Ok(loss)
    }

    fn norm_error(&self, step: u64, loss: f64, error: OptimError) -> LearnError {
        match error {
            OptimError::NonFiniteGradient { index, .. } => {
                let parameters = self.decoder.config().parameters();
                let parameter = parameters.iter().nth(index).map_or_else(String::new, |spec| spec.name.clone());
                LearnError::NonFinite { step, parameter, loss }
            }
            source => LearnError::Optimizer { step, source },
        }
    }

    /// Copies of the weights, named as on the Hub, in canonical order.
    pub fn named_weights(&self) -> Vec<NamedTensor> {
        let parameters = self.decoder.config().parameters();
        let named = |(ParameterSpec { name, shape, .. }, tensor): (&ParameterSpec, &burn::tensor::Tensor<1>)| {
            let values = tensor.clone().into_data().try_into_vec().expect("weights are fp32");
            NamedTensor { name: name.clone(), shape: shape.clone(), values }
        };
        parameters.iter().zip(self.weights.iter()).map(named).collect()
    }

    /// A copy of the optimizer's state, in the same order.
    pub fn optimizer(&self) -> AdamWState {
        self.optimizer.state()
    }

    /// Copies of the optimizer's moments in the same order, and the number of updates behind them.
    pub fn moments(&self) -> (u64, Vec<Moments>) {
        let AdamWState { steps, moments } = self.optimizer.state();
        (steps, moments.into_iter().map(|own| Moments { first: own.first, second: own.second }).collect())
    }
}
