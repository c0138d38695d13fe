//! The global norm of gradients, and the factor that clips it.

use burn::tensor::{Device, Tensor};
use multiversion::multiversion;
use rayon::prelude::*;

use super::cpu::CHUNK;
use super::cpu_tensor;
use crate::error::OptimError;

/// Independent sums per chunk: enough for the widest vector registers and the latency of their
/// additions.
const LANES: usize = 32;

/// The L2 norm of all gradients taken as one vector.
///
/// On the CPU squares are summed in f64, in a fixed order over fixed chunks: the result has the
/// same bits for any number of threads, and squares cannot overflow. On other backends each tensor
/// is summed on its device in fp32, and the sums of a device are read in one transfer.
///
/// # Errors
///
/// [`OptimError::NonFiniteGradient`] names the first tensor with a NaN or an infinity.
pub fn global_norm<'a>(
    gradients: impl IntoIterator<Item = &'a Tensor<1>>,
) -> Result<f64, OptimError> {
    let mut total = 0.0;
    for (index, squares) in sums_of_squares(gradients).into_iter().enumerate() {
        if !squares.is_finite() {
            return Err(OptimError::NonFiniteGradient { index, norm: squares.sqrt() });
        }
        total += squares;
    }
    Ok(total.sqrt())
}

/// The factor that limits a gradient of norm `norm` to norm `max`: `max / (norm + 1e-6)`, at most
/// 1, as in `torch.nn.utils.clip_grad_norm_`.
pub fn clip_scale(norm: f64, max: f64) -> f32 {
    // An infinite `max` disables clipping: the quotient is infinite and the minimum 1.
    (max / (norm + 1e-6)).min(1.0) as f32
}

/// Sets gradients to zero, in place where the backend allows it.
pub fn clear<'a>(gradients: impl IntoIterator<Item = &'a mut Tensor<1>>) {
    for gradient in gradients {
        match cpu_tensor::take(gradient) {
            Some(mut storage) => {
                storage
                    .storage_mut::<f32>()
                    .par_chunks_mut(CHUNK)
                    .for_each(|chunk| chunk.fill(0.0));
                cpu_tensor::put_back(gradient, storage);
            }
            None => *gradient = gradient.zeros_like(),
        }
    }
}

/// Sums of squares that one device computes, and the places of their tensors.
struct DeviceSums {
    device: Device,
    places: Vec<usize>,
    sums: Vec<Tensor<1>>,
}

/// The sum of squares of each tensor.
fn sums_of_squares<'a>(gradients: impl IntoIterator<Item = &'a Tensor<1>>) -> Vec<f64> {
    // Sums are queued on all devices before the first one is read, so devices compute at the same
    // time.
    let (mut sums, mut queued) = (Vec::new(), Vec::new());
    for (place, gradient) in gradients.into_iter().enumerate() {
        let sum = cpu_tensor::storage(gradient)
            .map(|storage| slice_sum_of_squares(cpu_tensor::slice(&storage)));
        if sum.is_none() {
            queue_sum(&mut queued, place, gradient);
        }
        sums.push(sum.unwrap_or_default());
    }
    for DeviceSums { places, sums: of_device, .. } in queued {
        let read: Vec<f32> =
            Tensor::cat(of_device, 0).into_data().try_into_vec().expect("sums of fp32 are fp32");
        places.into_iter().zip(read).for_each(|(place, sum)| sums[place] = f64::from(sum));
    }
    sums
}

fn queue_sum(queued: &mut Vec<DeviceSums>, place: usize, gradient: &Tensor<1>) {
    let (device, sum) = (gradient.device(), (gradient.clone() * gradient.clone()).sum());
    match queued.iter_mut().find(|sums| sums.device == device) {
        Some(sums) => {
            sums.places.push(place);
            sums.sums.push(sum);
        }
        None => queued.push(DeviceSums { device, places: vec![place], sums: vec![sum] }),
    }
}

fn slice_sum_of_squares(values: &[f32]) -> f64 {
    // Partial sums are added in the order of chunks. A parallel sum would add them in the order in
    // which threads finish.
    let partial: Vec<f64> = values.par_chunks(CHUNK).map(chunk_sum_of_squares).collect();
    partial.into_iter().sum()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn chunk_sum_of_squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (rows, rest) = values.as_chunks::<LANES>();
    for row in rows {
        for (lane, value) in lanes.iter_mut().zip(row) {
            *lane += f64::from(*value) * f64::from(*value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += f64::from(*value) * f64::from(*value);
    }
    lanes.iter().sum()
}
