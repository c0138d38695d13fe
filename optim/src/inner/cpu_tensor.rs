//! Access to tensors of Burn's CPU backend as slices, in place.

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

/// The storage of a tensor on the CPU backend; `None` on other backends.
///
/// The result shares memory with `tensor`. Drop one of the two before writing to the other,
/// otherwise the write copies first.
pub(crate) fn storage(tensor: &Tensor<1>) -> Option<FlexTensor> {
    let primitive = tensor.clone().try_into_primitive::<Flex>().ok()?;
    Some(primitive.to_contiguous())
}

/// Moves the storage of a CPU tensor out, which makes it unique. Returns `None`, and leaves the
/// tensor as it is, on other backends.
pub(crate) fn take(tensor: &mut Tensor<1>) -> Option<FlexTensor> {
    let storage = storage(tensor)?;
    // Dropping the old handle makes the storage unique, so the following write happens in place.
    *tensor = Tensor::empty([1], &tensor.device());
    Some(storage)
}

/// Returns storage from [`take`] to its tensor.
pub(crate) fn put_back(tensor: &mut Tensor<1>, storage: FlexTensor) {
    *tensor = Tensor::from_primitive::<Flex>(storage);
}

/// The elements of contiguous fp32 storage.
pub(crate) fn slice(storage: &FlexTensor) -> &[f32] {
    storage.as_slice::<f32>().expect("storage is contiguous, and precision was checked before")
}

/// The size of a tensor in bytes.
pub(crate) fn bytes(tensor: &Tensor<1>) -> usize {
    tensor.shape().num_elements() * tensor.dtype().size()
}
