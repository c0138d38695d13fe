//! What AdamW remembers of each parameter, on its device or in host memory.

use burn::tensor::{Device, Tensor, TensorData};

use super::cpu_tensor;

/// Running means for one parameter, flat and row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// Mean of gradients (`m`).
    pub first: Vec<f32>,
    /// Mean of squared gradients (`v`).
    pub second: Vec<f32>,
}

/// Running means for one parameter as flat tensors on its device.
#[derive(Clone, Debug)]
pub(crate) struct MomentTensors {
    pub(crate) first: Tensor<1>,
    pub(crate) second: Tensor<1>,
}

impl MomentTensors {
    pub(crate) fn zeros(parameter: &Tensor<1>) -> Self {
        Self { first: parameter.zeros_like(), second: parameter.zeros_like() }
    }

    pub(crate) fn on(device: &Device, moments: Moments) -> Self {
        Self { first: tensor(moments.first, device), second: tensor(moments.second, device) }
    }

    /// A copy.
    pub(crate) fn to_host(&self) -> Moments {
        Moments { first: values(&self.first), second: values(&self.second) }
    }
}

/// The moments of all parameters, in the order of the parameters.
///
/// They are on the devices or in host memory, so one of the two lists is empty. Both are before the first step.
#[derive(Clone, Debug, Default)]
pub(crate) struct MomentMemory {
    tensors: Vec<MomentTensors>,
    host: Vec<(Moments, Device)>,
}

impl MomentMemory {
    /// Moments on the devices they are for.
    pub(crate) fn on_devices(tensors: Vec<MomentTensors>) -> Self {
        Self { tensors, host: Vec::new() }
    }

    /// Parameters with moments.
    pub(crate) fn len(&self) -> usize {
        self.tensors.len() + self.host.len()
    }

    /// A copy of one parameter's moments.
    pub(crate) fn get(&self, index: usize) -> Option<Moments> {
        let host = || self.host.get(index).map(|(moments, _)| moments.clone());
        self.tensors.get(index).map(MomentTensors::to_host).or_else(host)
    }

    /// What is on the devices now.
    pub(crate) fn tensors(&self) -> &[MomentTensors] {
        &self.tensors
    }

    /// As [`MomentMemory::tensors`].
    pub(crate) fn tensors_mut(&mut self) -> &mut [MomentTensors] {
        &mut self.tensors
    }

    /// Moves everything to host memory, parameter by parameter, so that the devices have room for something else.
    pub(crate) fn offload(&mut self) {
        let moved = self.tensors.drain(..).map(|own| (own.to_host(), own.first.device()));
        self.host.extend(moved);
    }

    /// Moves everything back to its device. Where a backend queues transfers, they are queued and not waited for.
    pub(crate) fn reload(&mut self) {
        let moved =
            self.host.drain(..).map(|(moments, device)| MomentTensors::on(&device, moments));
        self.tensors.extend(moved);
    }

    /// Whether moving to host memory would free nothing.
    pub(crate) fn is_on_cpu(&self) -> bool {
        self.tensors.iter().all(|own| cpu_tensor::storage(&own.first).is_some())
    }
}

/// Numbers as a flat tensor.
pub(crate) fn tensor(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

/// A copy of a flat fp32 tensor.
pub(crate) fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.clone().into_data().try_into_vec().expect("weights and moments are fp32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_host_memory_and_back_changes_nothing() {
        let device = Device::flex();
        let moments =
            |seed: f32| Moments { first: vec![seed, -1.5, 0.0], second: vec![2.0, seed, 1e-30] };
        let all = [moments(0.1), moments(0.2)];
        let mut memory = MomentMemory::on_devices(
            all.iter().map(|own| MomentTensors::on(&device, own.clone())).collect(),
        );
        let kept = |memory: &MomentMemory| [memory.get(0), memory.get(1), memory.get(2)];
        let expected = [Some(all[0].clone()), Some(all[1].clone()), None];
        memory.offload();
        memory.offload();
        assert_eq!((memory.tensors().len(), memory.len(), kept(&memory)), (0, 2, expected.clone()));
        memory.reload();
        memory.reload();
        assert_eq!((memory.tensors().len(), memory.len(), kept(&memory)), (2, 2, expected));
    }
}
