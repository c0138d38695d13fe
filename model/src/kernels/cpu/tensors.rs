//! Access to tensors of Burn's CPU backend as slices, without copies.

use burn::backend::Flex;
use burn::tensor::{Device, Tensor, TensorData};
use burn_flex::FlexTensor;

/// Returns true if tensors of `device` are slices in the memory of this process.
pub(crate) fn is_cpu(device: &Device) -> bool {
    // The conversion fails for tensors of all other backends.
    Tensor::<1>::zeros([1], device).try_into_primitive::<Flex>().is_ok()
}

/// A shared handle to the elements of a tensor.
pub(super) struct Elements(FlexTensor);

impl Elements {
    pub(super) fn of<const D: usize>(tensor: &Tensor<D>) -> Self {
        let primitive =
            tensor.clone().try_into_primitive::<Flex>().expect("CPU kernels get CPU tensors");
        // A parameter of a gathered unit is a view with an offset: contiguous, so not copied.
        Self(if primitive.as_slice::<f32>().is_some() {
            primitive
        } else {
            primitive.to_contiguous()
        })
    }

    pub(super) fn slice(&self) -> &[f32] {
        self.0.as_slice::<f32>().expect("CPU kernels get contiguous fp32 tensors")
    }
}

/// The elements of a tensor. They are copied only if the tensor has another handle.
pub(super) fn into_elements<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("CPU kernels get fp32 tensors")
}

/// A tensor `[elements / width, width]` of these elements.
pub(super) fn matrix(elements: Vec<f32>, width: usize, device: &Device) -> Tensor<2> {
    let rows = elements.len() / width;
    Tensor::from_data(TensorData::new(elements, [rows, width]), device)
}

/// Calls `change` with the elements of a tensor, which it can modify in place.
pub(super) fn change(tensor: &mut Tensor<1>, device: &Device, change: impl FnOnce(&mut [f32])) {
    // The tensor is moved out to be the only handle; with two, `into_elements` would copy.
    let owned = std::mem::replace(tensor, Tensor::from_data(TensorData::from([0.0f32]), device));
    let mut elements = into_elements(owned);
    change(&mut elements);
    let length = elements.len();
    *tensor = Tensor::from_data(TensorData::new(elements, [length]), device);
}
