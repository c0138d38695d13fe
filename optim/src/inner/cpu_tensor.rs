//! Tensors of Burn's CPU backend as slices, in place.

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

/// The tensor's storage on the CPU backend, or nothing if it lives elsewhere.
///
/// The result shares memory with `tensor`; drop one of the two before writing to the other, or the write copies first.
pub(crate) fn storage(tensor: &Tensor<1>) -> Option<FlexTensor> {
    let primitive = tensor.clone().try_into_primitive::<Flex>().ok()?;
    Some(primitive.to_contiguous())
}

/// Moves a CPU tensor's storage out, so that nobody else holds it; `None`, and the tensor untouched, if it is elsewhere.
pub(crate) fn take(tensor: &mut Tensor<1>) -> Option<FlexTensor> {
    let storage = storage(tensor)?;
    // Letting go of the handle is what makes the storage unique and the coming write happen in place.
    *tensor = Tensor::empty([1], &tensor.device());
    Some(storage)
}

/// Puts storage that [`take`] moved out back in its place.
pub(crate) fn put_back(tensor: &mut Tensor<1>, storage: FlexTensor) {
    *tensor = Tensor::from_primitive::<Flex>(storage);
}

/// The elements of contiguous fp32 storage.
pub(crate) fn slice(storage: &FlexTensor) -> &[f32] {
    storage.as_slice::<f32>().expect("storage is contiguous, and precision was checked before")
}

/// Bytes of a tensor's elements.
pub(crate) fn bytes(tensor: &Tensor<1>) -> usize {
    tensor.shape().num_elements() * tensor.dtype().size()
}
