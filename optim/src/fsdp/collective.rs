//! All-gather and reduce-scatter of one FSDP unit.
//!
//! Collectives need the same number of elements from every member. The share of each member is
//! therefore padded to the longest share, `padded` below. NCCL transfers between distinct CUDA
//! devices in ascending order. In all other cases Burn copies, and sums are in the order of
//! members.

use std::ops::Range;

use burn::tensor::distributed::ReduceOperation;
use burn::tensor::{DType, Device, Tensor};

use super::plan::Plan;

/// All-gathers a unit: returns the whole unit as one vector on the device of each member, given the
/// padded share of each.
pub(super) fn gather(plan: &Plan, unit: usize, shares: Vec<Tensor<1>>) -> Vec<Tensor<1>> {
    Tensor::all_gather(shares, 0)
        .into_iter()
        .map(|padded| without_padding(plan, unit, padded))
        .collect()
}

/// Reduce-scatters a unit: returns the share of each member of the sum, given one vector per member
/// in which every share is padded.
pub(super) fn reduce(vectors: Vec<Tensor<1>>) -> Vec<Tensor<1>> {
    Tensor::reduce_scatter(vectors, 0, ReduceOperation::Sum)
}

/// Concatenates tensors of one device and precision, and pads with zeros to `length`.
pub(super) fn join(
    mut parts: Vec<Tensor<1>>,
    length: usize,
    device: &Device,
    precision: DType,
) -> Tensor<1> {
    let missing = length - parts.iter().map(|part| part.shape().num_elements()).sum::<usize>();
    if missing > 0 {
        parts.push(Tensor::zeros([missing], (device, precision)));
    }
    Tensor::cat(parts, 0)
}

/// Removes the padding. The result is a view if there is no padding between shares, otherwise a
/// copy.
fn without_padding(plan: &Plan, unit: usize, padded: Tensor<1>) -> Tensor<1> {
    let stride = plan.padded(unit);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for member in 0..plan.members() {
        let length = plan.share(unit, member).len();
        // Shares without padding between them form one run, so an even unit is not copied.
        match runs.last_mut() {
            Some(last) if last.end == member * stride => last.end += length,
            _ if length == 0 => {}
            _ => runs.push(member * stride..member * stride + length),
        }
    }
    let parts = runs.into_iter().map(|run| padded.clone().slice(run)).collect();
    Tensor::cat(parts, 0)
}
