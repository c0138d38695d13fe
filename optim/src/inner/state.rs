//! The moments of AdamW, on their devices or in host memory.

use burn::tensor::{Device, Tensor, TensorData};

use super::cpu_tensor;

/// The moments of one parameter, flat and row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// Running mean of gradients (`m`).
    pub first: Vec<f32>,
    /// Running mean of squared gradients (`v`).
    pub second: Vec<f32>,
}

/// The moments of one parameter as flat tensors on its device.
#[derive(Clone, Debug)]
pub(crate) struct MomentTensors {
    pub(crate) first: Tensor<1>,
    pub(crate) second: Tensor<1>,
}

impl MomentTensors {
    pub(crate) fn zeros(parameter: &Tensor<1>) -> Self {
        Self { first: parameter.zeros_like(), second: parameter.zeros_like() }
    }

    pub(crate) fn from_host(device: &Device, moments: Moments) -> Self {
        Self { first: tensor(moments.first, device), second: tensor(moments.second, device) }
    }

    /// Copies the moments to host memory.
    pub(crate) fn to_host(&self) -> Moments {
        Moments { first: values(&self.first), second: values(&self.second) }
    }
}

/// The moments of all parameters, in the order of the parameters.
///
/// They are either on the devices or in host memory, so one of the two lists is empty. Both are
/// empty before the first step.
#[derive(Clone, Debug, Default)]
pub(crate) struct MomentMemory {
    tensors: Vec<MomentTensors>,
    host: Vec<(Moments, Device)>,
}

impl MomentMemory {
    /// Wraps moments that are on their devices.
    pub(crate) fn on_devices(tensors: Vec<MomentTensors>) -> Self {
        Self { tensors, host: Vec::new() }
    }

    /// The number of parameters with moments.
    pub(crate) fn len(&self) -> usize {
        self.tensors.len() + self.host.len()
    }

    /// Copies the moments of one parameter.
    pub(crate) fn get(&self, index: usize) -> Option<Moments> {
        match self.tensors.get(index) {
            Some(moments) => Some(moments.to_host()),
            None => self.host.get(index).map(|(moments, _)| moments.clone()),
        }
    }

    /// The moments that are on devices now.
    pub(crate) fn tensors(&self) -> &[MomentTensors] {
        &self.tensors
    }

    /// Like [`MomentMemory::tensors`], mutable.
    pub(crate) fn tensors_mut(&mut self) -> &mut [MomentTensors] {
        &mut self.tensors
    }

    /// Moves all moments to host memory, one parameter at a time.
    pub(crate) fn offload(&mut self) {
        // `drain` frees the tensors of a parameter before the next is copied, and the device comes
        // from the tensor: parameters of one model may be on several devices.
        let moved =
            self.tensors.drain(..).map(|moments| (moments.to_host(), moments.first.device()));
        self.host.extend(moved);
    }

    /// Moves all moments back to their devices. A backend that queues transfers returns before they
    /// are complete.
    pub(crate) fn reload(&mut self) {
        let moved =
            self.host.drain(..).map(|(moments, device)| MomentTensors::from_host(&device, moments));
        self.tensors.extend(moved);
    }

    /// Returns true if all moments are in host memory already, on the CPU backend.
    pub(crate) fn is_on_cpu(&self) -> bool {
        self.tensors.iter().all(|moments| cpu_tensor::storage(&moments.first).is_some())
    }
}

/// Creates a flat tensor.
pub(crate) fn tensor(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

/// Copies the elements of a flat fp32 tensor.
pub(crate) fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.clone().into_data().try_into_vec().expect("weights and moments are fp32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offloading_and_reloading_keeps_every_bit() {
        let device = Device::flex();
        let moments =
            |seed: f32| Moments { first: vec![seed, -1.5, 0.0], second: vec![2.0, seed, 1e-30] };
        let all = [moments(0.1), moments(0.2)];
        let mut memory = MomentMemory::on_devices(
            all.iter().map(|moments| MomentTensors::from_host(&device, moments.clone())).collect(),
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
