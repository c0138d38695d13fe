//! One AdamW update in one GPU kernel: each element is read once and written once, in place.

use burn::backend::TensorMetadata;
use burn::tensor::Tensor;
use burn_cubecl::Cube;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::cpu::Coefficients;

/// A parameter with its moments.
pub(crate) struct Tensors<'a> {
    pub(crate) parameter: &'a mut Tensor<1>,
    pub(crate) first: &'a mut Tensor<1>,
    pub(crate) second: &'a mut Tensor<1>,
}

/// Updates one parameter on its GPU. Returns false, and changes nothing, if it is not on a GPU.
///
/// Formula and coefficients are those of the CPU. The device may round a product and a sum
/// together, so the last bit may differ. A shared tensor is copied first.
pub(crate) fn update(
    tensors: &mut Tensors<'_>,
    gradient: &Tensor<1>,
    coefficients: Coefficients,
) -> bool {
    // The gradient is tested first because converting a tensor consumes its handle; moments are on
    // the same device.
    let Ok(gradient) = gradient.clone().try_into_primitive::<Cube>() else { return false };
    let placeholder = Tensor::empty([1], &tensors.parameter.device());
    let parameter = take(tensors.parameter, &placeholder);
    let (first, second) = (take(tensors.first, &placeholder), take(tensors.second, &placeholder));
    launch([&parameter, &first, &second], into_contiguous(gradient), coefficients);
    *tensors.parameter = Tensor::from_primitive::<Cube>(parameter);
    *tensors.first = Tensor::from_primitive::<Cube>(first);
    *tensors.second = Tensor::from_primitive::<Cube>(second);
    true
}

/// Moves the buffer of a tensor out, or a copy if it is shared.
fn take(tensor: &mut Tensor<1>, placeholder: &Tensor<1>) -> CubeTensor {
    let moved = std::mem::replace(tensor, placeholder.clone()).try_into_primitive::<Cube>();
    let buffer = moved.expect("a parameter and its moments are on the device of its gradient");
    // Writing to a shared buffer would change the clone of another holder, such as a snapshot.
    if buffer.can_mut() { into_contiguous(buffer) } else { buffer.copy() }
}

fn launch([parameter, first, second]: [&CubeTensor; 3], gradient: CubeTensor, c: Coefficients) {
    let (client, length) = (parameter.client.clone(), parameter.shape().num_elements());
    let dim = CubeDim::new(&client, length);
    update_element::launch(
        &client,
        calculate_cube_count_elemwise(&client, length, dim),
        dim,
        parameter.clone().into_buffer_arg(),
        first.clone().into_buffer_arg(),
        second.clone().into_buffer_arg(),
        gradient.into_buffer_arg(),
        c.keep,
        c.gradient_scale,
        c.beta1,
        c.beta1_rest,
        c.beta2,
        c.beta2_rest,
        c.step_size,
        c.root_scale,
        c.epsilon,
    );
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "coefficients, which kernels take one by one")]
fn update_element(
    parameter: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    keep: f32,
    gradient_scale: f32,
    beta1: f32,
    beta1_rest: f32,
    beta2: f32,
    beta2_rest: f32,
    step_size: f32,
    root_scale: f32,
    epsilon: f32,
) {
    let place = ABSOLUTE_POS;
    if place < parameter.len() {
        let g = gradient[place] * gradient_scale;
        let m = first[place] * beta1 + g * beta1_rest;
        let v = second[place] * beta2 + g * g * beta2_rest;
        first[place] = m;
        second[place] = v;
        parameter[place] =
            parameter[place] * keep - step_size * m / (v.sqrt() * root_scale + epsilon);
    }
}
