//! AdamW: adaptive steps with decoupled weight decay (Loshchilov and Hutter, 2019).
//!
//! At update t with learning rate lr and gradient g, for every element:
//!
//! ```text
//! p <- p * (1 - lr * weight_decay)
//! m <- beta1 * m + (1 - beta1) * g
//! v <- beta2 * v + (1 - beta2) * g^2
//! p <- p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
//! ```
//!
//! The same formula as PyTorch's fused AdamW. Decay applies to every tensor, norms included, as in the 72B run.

use burn::tensor::{DType, Device, Tensor};
use burn_flex::FlexTensor;
use serde::{Deserialize, Serialize};

use super::cpu::{Coefficients, Slices, update_all};
use super::cpu_tensor;
use super::state::{MomentMemory, MomentTensors, Moments};
use crate::error::{OptimError, SettingError, SettingErrors};

/// The constants of AdamW; the learning rate comes with every step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the running mean of gradients.
    pub beta1: f64,
    /// Decay of the running mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Share of a weight that decays per unit of learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 }
    }
}

impl AdamWConfig {
    /// Every constant that makes no sense; empty for a sound config.
    pub fn check(&self) -> Vec<SettingError> {
        let mut findings = SettingErrors::default();
        for (key, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            findings.require(
                (0.0..1.0).contains(&beta),
                key,
                beta,
                "must be at least 0 and below 1",
            );
        }
        let epsilon = self.epsilon;
        findings.require(
            epsilon.is_finite() && epsilon > 0.0,
            "epsilon",
            epsilon,
            "must be above 0",
        );
        let decay = self.weight_decay;
        findings.require(
            decay.is_finite() && decay >= 0.0,
            "weight_decay",
            decay,
            "must be 0 or more",
        );
        findings.0
    }

    /// The numbers of update `t`, counted from 1.
    fn coefficients(&self, t: u64, learning_rate: f64, gradient_scale: f32) -> Coefficients {
        let bias1 = 1.0 - self.beta1.powf(t as f64);
        let bias2 = 1.0 - self.beta2.powf(t as f64);
        Coefficients {
            keep: (1.0 - learning_rate * self.weight_decay) as f32,
            gradient_scale,
            beta1: self.beta1 as f32,
            beta1_rest: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            beta2_rest: (1.0 - self.beta2) as f32,
            step_size: (learning_rate / bias1) as f32,
            root_scale: (1.0 / bias2.sqrt()) as f32,
            epsilon: self.epsilon as f32,
        }
    }
}

/// The optimizer of one model: constants, update count and two moments per parameter, in fp32.
///
/// Parameters are known by their place in the list, so every step must bring them in the same order. Moments start at
/// zero with the first step and live on their parameter's device.
///
/// On Burn's CPU backend parameters and moments are updated in place, in one pass over memory, on all threads of the
/// current rayon pool; results do not depend on how many there are. A parameter whose tensor has another holder (a
/// clone somewhere) is copied first. Other backends get the same formula in Burn's own operations.
#[derive(Clone, Debug)]
pub struct AdamW {
    config: AdamWConfig,
    steps: u64,
    memory: MomentMemory,
}

/// All that an optimizer remembers, for checkpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdamWState {
    /// Updates made.
    pub steps: u64,
    /// One entry per parameter, in the order of the steps; empty before the first.
    pub moments: Vec<Moments>,
}

impl AdamW {
    /// An optimizer that has made no step.
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, steps: 0, memory: MomentMemory::default() }
    }

    /// The optimizer that [`state`](Self::state) was taken from: it goes on bit for bit. Moments go to `device`.
    pub fn restore(config: AdamWConfig, state: AdamWState, device: &Device) -> Self {
        let moments = state.moments.into_iter().map(|moments| MomentTensors::on(device, moments));
        Self::continued(config, state.steps, moments.collect())
    }

    /// An optimizer that has made `steps` steps and remembers these moments.
    pub(crate) fn continued(config: AdamWConfig, steps: u64, moments: Vec<MomentTensors>) -> Self {
        Self { config, steps, memory: MomentMemory::on_devices(moments) }
    }

    /// A copy of everything that this optimizer remembers.
    pub fn state(&self) -> AdamWState {
        let moments = (0..self.memory.len()).filter_map(|index| self.moments(index));
        AdamWState { steps: self.steps, moments: moments.collect() }
    }

    /// A copy of what it remembers of one parameter; nothing before the first step.
    pub fn moments(&self, index: usize) -> Option<Moments> {
        self.memory.get(index)
    }

    /// Updates made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The constants.
    pub fn config(&self) -> AdamWConfig {
        self.config
    }

    /// Moves moments to host memory, so that devices have room for something else; nothing on the CPU.
    pub fn offload(&mut self) {
        if !self.memory.is_on_cpu() {
            self.memory.offload();
        }
    }

    /// Begins to move moments back to the devices that they came from. The next step does so if nobody did.
    pub fn reload(&mut self) {
        self.memory.reload();
    }

    /// What is on the devices now.
    pub(crate) fn moment_tensors(&self) -> &[MomentTensors] {
        self.memory.tensors()
    }

    /// Moves every parameter along its gradient, which is multiplied by `gradient_scale` on the way.
    ///
    /// The scale takes [`clip_scale`](super::clip::clip_scale) and the averaging over micro-batches, so neither needs a pass
    /// of its own. Tensors must be free of autodiff.
    ///
    /// # Errors
    ///
    /// A number, length or precision of tensors that does not fit; nothing is changed then.
    pub fn step<'a>(
        &mut self,
        parameters: impl IntoIterator<Item = (&'a mut Tensor<1>, &'a Tensor<1>)>,
        learning_rate: f64,
        gradient_scale: f32,
    ) -> Result<(), OptimError> {
        let mut pairs: Vec<_> = parameters.into_iter().collect();
        self.reload();
        self.check(&pairs)?;
        if self.memory.len() == 0 {
            self.memory = MomentMemory::on_devices(
                pairs.iter().map(|(own, _)| MomentTensors::zeros(own)).collect(),
            );
        }
        self.steps += 1;
        let coefficients = self.config.coefficients(self.steps, learning_rate, gradient_scale);
        let moments = self.memory.tensors_mut();
        if !update_in_place(&mut pairs, moments, coefficients) {
            for ((parameter, gradient), moments) in pairs.into_iter().zip(moments) {
                if !update_on_gpu(parameter, gradient, moments, coefficients) {
                    update_tensors(parameter, gradient, moments, coefficients);
                }
            }
        }
        Ok(())
    }

    fn check(&self, pairs: &[(&mut Tensor<1>, &Tensor<1>)]) -> Result<(), OptimError> {
        let moments = self.memory.tensors();
        if !moments.is_empty() && moments.len() != pairs.len() {
            return Err(OptimError::ParameterCount { expected: moments.len(), got: pairs.len() });
        }
        for (index, (parameter, gradient)) in pairs.iter().enumerate() {
            check_precision("values", index, parameter)?;
            check_precision("gradient", index, gradient)?;
            check_length("gradient", index, parameter, gradient)?;
            if let Some(moments) = moments.get(index) {
                check_length("first moment", index, parameter, &moments.first)?;
                check_length("second moment", index, parameter, &moments.second)?;
            }
        }
        Ok(())
    }
}

/// One parameter with its moments and gradient, moved out of their tensors.
struct Taken {
    parameter: FlexTensor,
    first: FlexTensor,
    second: FlexTensor,
    gradient: FlexTensor,
}

impl Taken {
    fn slices(&mut self) -> Slices<'_> {
        Slices {
            parameter: self.parameter.storage_mut(),
            first: self.first.storage_mut(),
            second: self.second.storage_mut(),
            gradient: cpu_tensor::slice(&self.gradient),
        }
    }
}

/// The update in one kernel; `false`, and nothing done, if the tensors are on no GPU that this build knows.
#[cfg(feature = "cube")]
fn update_on_gpu(
    parameter: &mut Tensor<1>,
    gradient: &Tensor<1>,
    own: &mut MomentTensors,
    c: Coefficients,
) -> bool {
    let mut tensors =
        super::cube::Tensors { parameter, first: &mut own.first, second: &mut own.second };
    super::cube::update(&mut tensors, gradient, c)
}

#[cfg(not(feature = "cube"))]
fn update_on_gpu(_: &mut Tensor<1>, _: &Tensor<1>, _: &mut MomentTensors, _: Coefficients) -> bool {
    false
}

/// The update on slices; `false`, and nothing done, unless all tensors are on the CPU backend.
fn update_in_place(
    pairs: &mut [(&mut Tensor<1>, &Tensor<1>)],
    moments: &mut [MomentTensors],
    coefficients: Coefficients,
) -> bool {
    let mut taken = Vec::with_capacity(pairs.len());
    let mut complete = true;
    for ((parameter, gradient), own) in pairs.iter_mut().zip(moments.iter_mut()) {
        match take(parameter, gradient, own) {
            Some(tensors) => taken.push(tensors),
            None => {
                complete = false;
                break;
            }
        }
    }
    if complete {
        update_all(taken.iter_mut().map(Taken::slices).collect(), coefficients);
    }
    for (((parameter, _), own), tensors) in pairs.iter_mut().zip(moments).zip(taken) {
        cpu_tensor::put_back(parameter, tensors.parameter);
        cpu_tensor::put_back(&mut own.first, tensors.first);
        cpu_tensor::put_back(&mut own.second, tensors.second);
    }
    complete
}

/// Moves all four out, or none.
fn take(
    parameter: &mut Tensor<1>,
    gradient: &Tensor<1>,
    moments: &mut MomentTensors,
) -> Option<Taken> {
    let gradient = cpu_tensor::storage(gradient)?;
    let on_cpu = |tensor: &Tensor<1>| cpu_tensor::storage(tensor).is_some();
    if !(on_cpu(parameter) && on_cpu(&moments.first) && on_cpu(&moments.second)) {
        return None;
    }
    Some(Taken {
        parameter: cpu_tensor::take(parameter)?,
        first: cpu_tensor::take(&mut moments.first)?,
        second: cpu_tensor::take(&mut moments.second)?,
        gradient,
    })
}

/// The update in Burn's operations, for any backend.
fn update_tensors(
    parameter: &mut Tensor<1>,
    gradient: &Tensor<1>,
    moments: &mut MomentTensors,
    c: Coefficients,
) {
    let gradient = gradient.clone() * c.gradient_scale;
    let square = gradient.clone() * gradient.clone();
    moments.first = moments.first.clone() * c.beta1 + gradient * c.beta1_rest;
    moments.second = moments.second.clone() * c.beta2 + square * c.beta2_rest;
    let denominator = moments.second.clone().sqrt() * c.root_scale + c.epsilon;
    *parameter = parameter.clone() * c.keep - moments.first.clone() * c.step_size / denominator;
}

fn check_precision(what: &'static str, index: usize, tensor: &Tensor<1>) -> Result<(), OptimError> {
    match tensor.dtype() {
        DType::F32 => Ok(()),
        other => Err(OptimError::Precision { what, index, got: other.name().to_string() }),
    }
}

fn check_length(
    what: &'static str,
    index: usize,
    parameter: &Tensor<1>,
    tensor: &Tensor<1>,
) -> Result<(), OptimError> {
    let (expected, got) = (parameter.shape().num_elements(), tensor.shape().num_elements());
    if expected == got { Ok(()) } else { Err(OptimError::Length { what, index, expected, got }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner::state::{tensor, values};

    /// Values without a pattern that a formula could hide behind.
    fn wave(length: usize, seed: f32) -> Vec<f32> {
        (0..length).map(|index| (index as f32 * 0.37 + seed).sin() * (1.0 + seed)).collect()
    }

    #[test]
    fn slices_and_burn_operations_agree() {
        let device = Device::flex();
        let length = 1000;
        let mut fast = AdamW::new(AdamWConfig::default());
        let mut parameter = tensor(wave(length, 0.1), &device);
        let mut plain = parameter.clone();
        let mut moments = MomentTensors::zeros(&plain);
        for step in 1..=7u64 {
            let gradient = tensor(wave(length, step as f32), &device);
            let coefficients = fast.config.coefficients(step, 0.01 / step as f64, 0.5);
            update_tensors(&mut plain, &gradient, &mut moments, coefficients);
            fast.step([(&mut parameter, &gradient)], 0.01 / step as f64, 0.5).unwrap();
        }
        for (fast, plain) in values(&parameter).iter().zip(values(&plain)) {
            assert!((fast - plain).abs() <= 1e-6 * plain.abs().max(1.0), "{fast} and {plain}");
        }
        assert_eq!(fast.state().moments[0].second.len(), values(&moments.second).len());
    }

    #[test]
    fn unshared_parameters_keep_their_memory() {
        let device = Device::flex();
        let mut parameter = tensor(wave(100, 0.1), &device);
        let gradient = tensor(wave(100, 0.2), &device);
        let address =
            |tensor: &Tensor<1>| cpu_tensor::slice(&cpu_tensor::storage(tensor).unwrap()).as_ptr();
        let before = address(&parameter);
        let mut optimizer = AdamW::new(AdamWConfig::default());
        optimizer.step([(&mut parameter, &gradient)], 0.1, 1.0).unwrap();
        assert_eq!(address(&parameter), before);
    }
}
