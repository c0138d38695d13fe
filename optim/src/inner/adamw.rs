//! AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019, arXiv 1711.05101).
//!
//! Update t with learning rate lr and gradient g, for every element:
//!
//! ```text
//! p <- p * (1 - lr * weight_decay)
//! m <- beta1 * m + (1 - beta1) * g
//! v <- beta2 * v + (1 - beta2) * g^2
//! p <- p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
//! ```
//!
//! This is the formula of PyTorch's fused AdamW. Weight decay applies to every tensor, norms
//! included, as in the run of Covenant-72B.

use burn::tensor::{DType, Device, Tensor};
use burn_flex::FlexTensor;

use super::config::AdamWConfig;
use super::cpu::{Coefficients, Slices, update_all};
use super::cpu_tensor;
use super::state::{MomentMemory, MomentTensors, Moments};
use crate::error::OptimError;

/// The optimizer of one model: constants, number of updates, and two moments per parameter, in
/// fp32.
///
/// Parameters are identified by their place in the list, so every step must pass them in the same
/// order. Moments are zero before the first step. They are stored on the device of their parameter.
///
/// On Burn's CPU backend parameters and moments are updated in place, in one pass over memory, on
/// all threads of the current rayon pool. The result does not depend on the number of threads. A
/// parameter is copied first if its tensor is shared, for example with a clone. GPUs use one
/// kernel, and any other backend Burn's operations.
///
/// ```rust
/// use burn::tensor::{Device, Tensor};
/// use covey_optim::inner::{AdamW, AdamWConfig};
///
/// let device = Device::flex();
/// let mut weight = Tensor::<1>::from_data([1.0_f32, -1.0], &device);
/// let gradient = Tensor::<1>::from_data([0.5_f32, 0.5], &device);
///
/// let mut optimizer = AdamW::new(AdamWConfig::default());
/// optimizer.step([(&mut weight, &gradient)], 1e-3, 1.0)?;
/// assert_eq!(optimizer.steps(), 1);
/// # Ok::<(), covey_optim::error::OptimError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AdamW {
    config: AdamWConfig,
    steps: u64,
    memory: MomentMemory,
}

/// The complete state of an optimizer, for checkpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdamWState {
    /// Number of updates.
    pub steps: u64,
    /// The moments of each parameter, in the order of the steps. Empty before the first step.
    pub moments: Vec<Moments>,
}

impl AdamW {
    /// Creates an optimizer that has made no step.
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, steps: 0, memory: MomentMemory::default() }
    }

    /// Restores the optimizer that returned this [`state`](Self::state). All later steps give the
    /// same bits. Moments are moved to `device`.
    pub fn restore(config: AdamWConfig, state: AdamWState, device: &Device) -> Self {
        let moments =
            state.moments.into_iter().map(|moments| MomentTensors::from_host(device, moments));
        Self::resumed(config, state.steps, moments.collect())
    }

    /// Creates an optimizer that has made `steps` steps and has these moments.
    pub(crate) fn resumed(config: AdamWConfig, steps: u64, moments: Vec<MomentTensors>) -> Self {
        Self { config, steps, memory: MomentMemory::on_devices(moments) }
    }

    /// Copies the complete state.
    pub fn state(&self) -> AdamWState {
        let moments = (0..self.memory.len()).filter_map(|index| self.moments(index));
        AdamWState { steps: self.steps, moments: moments.collect() }
    }

    /// Copies the moments of one parameter. Returns `None` before the first step.
    pub fn moments(&self, index: usize) -> Option<Moments> {
        self.memory.get(index)
    }

    /// The number of updates.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The constants.
    pub fn config(&self) -> AdamWConfig {
        self.config
    }

    /// Moves the moments to host memory to free memory of the devices. Has no effect on the CPU.
    pub fn offload(&mut self) {
        if !self.memory.is_on_cpu() {
            self.memory.offload();
        }
    }

    /// Starts to move the moments back to their devices. [`AdamW::step`] calls it if necessary.
    pub fn reload(&mut self) {
        self.memory.reload();
    }

    /// The moments that are on devices now.
    pub(crate) fn moment_tensors(&self) -> &[MomentTensors] {
        self.memory.tensors()
    }

    /// Updates every parameter with its gradient times `gradient_scale`.
    ///
    /// The scale combines [`clip_scale`](super::clip::clip_scale) and the mean over micro-batches,
    /// so neither needs another pass over memory. Tensors must not be tracked by autodiff.
    ///
    /// # Errors
    ///
    /// [`OptimError`] if the number, a length or a precision of tensors does not fit. Nothing is
    /// changed in that case.
    pub fn step<'a>(
        &mut self,
        parameters: impl IntoIterator<Item = (&'a mut Tensor<1>, &'a Tensor<1>)>,
        learning_rate: f64,
        gradient_scale: f32,
    ) -> Result<(), OptimError> {
        let mut pairs: Vec<_> = parameters.into_iter().collect();
        self.reload();
        // All checks precede the first write: a partial step would leave the peer with weights of
        // no step.
        self.check(&pairs)?;
        if self.memory.len() == 0 {
            self.memory = MomentMemory::on_devices(
                pairs.iter().map(|(parameter, _)| MomentTensors::zeros(parameter)).collect(),
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

    /// Returns an error if a tensor does not fit.
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

/// The storage of one parameter, its moments and its gradient, moved out of their tensors.
struct CpuTensors {
    parameter: FlexTensor,
    first: FlexTensor,
    second: FlexTensor,
    gradient: FlexTensor,
}

impl CpuTensors {
    fn slices(&mut self) -> Slices<'_> {
        Slices {
            parameter: self.parameter.storage_mut(),
            first: self.first.storage_mut(),
            second: self.second.storage_mut(),
            gradient: cpu_tensor::slice(&self.gradient),
        }
    }
}

/// Updates in one kernel. Returns false, and changes nothing, if the tensors are not on a GPU that
/// this build supports.
#[cfg(feature = "cube")]
fn update_on_gpu(
    parameter: &mut Tensor<1>,
    gradient: &Tensor<1>,
    moments: &mut MomentTensors,
    coefficients: Coefficients,
) -> bool {
    let mut tensors =
        super::cube::Tensors { parameter, first: &mut moments.first, second: &mut moments.second };
    super::cube::update(&mut tensors, gradient, coefficients)
}

#[cfg(not(feature = "cube"))]
fn update_on_gpu(_: &mut Tensor<1>, _: &Tensor<1>, _: &mut MomentTensors, _: Coefficients) -> bool {
    false
}

/// Updates slices in place. Returns false, and changes nothing, unless all tensors are on the CPU
/// backend.
fn update_in_place(
    pairs: &mut [(&mut Tensor<1>, &Tensor<1>)],
    moments: &mut [MomentTensors],
    coefficients: Coefficients,
) -> bool {
    let mut storages = Vec::with_capacity(pairs.len());
    let mut complete = true;
    for ((parameter, gradient), moments) in pairs.iter_mut().zip(moments.iter_mut()) {
        match take_storage(parameter, gradient, moments) {
            Some(tensors) => storages.push(tensors),
            None => {
                complete = false;
                break;
            }
        }
    }
    if complete {
        update_all(storages.iter_mut().map(CpuTensors::slices).collect(), coefficients);
    }
    // Also after an incomplete attempt: storage that was moved out must return to its tensor.
    for (((parameter, _), moments), tensors) in pairs.iter_mut().zip(moments).zip(storages) {
        cpu_tensor::put_back(parameter, tensors.parameter);
        cpu_tensor::put_back(&mut moments.first, tensors.first);
        cpu_tensor::put_back(&mut moments.second, tensors.second);
    }
    complete
}

/// Moves the storage of all four tensors out, or of none: `None` unless all are on the CPU backend.
fn take_storage(
    parameter: &mut Tensor<1>,
    gradient: &Tensor<1>,
    moments: &mut MomentTensors,
) -> Option<CpuTensors> {
    let gradient = cpu_tensor::storage(gradient)?;
    for tensor in [&*parameter, &moments.first, &moments.second] {
        cpu_tensor::storage(tensor)?;
    }
    Some(CpuTensors {
        parameter: cpu_tensor::take(parameter)?,
        first: cpu_tensor::take(&mut moments.first)?,
        second: cpu_tensor::take(&mut moments.second)?,
        gradient,
    })
}

/// Updates with Burn's operations, on any backend. Same formula and order as in
/// [`cpu`](super::cpu).
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

    /// A signal without a short period.
    fn wave(length: usize, seed: f32) -> Vec<f32> {
        (0..length).map(|index| (index as f32 * 0.37 + seed).sin() * (1.0 + seed)).collect()
    }

    #[test]
    fn slices_and_burn_operations_give_equal_updates() {
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
    fn unshared_parameters_are_updated_in_place() {
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
