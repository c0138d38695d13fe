//! Pieces into whole weights, and sums of whole gradients into pieces: what members exchange.
//!
//! Collectives want the same number of elements from every member, so each one's share of a unit is padded to the
//! longest share; `padded` below is that length. NCCL carries them between distinct CUDA devices in ascending order;
//! everything else is copied by Burn, and sums are taken in the order of members.

use std::ops::Range;

use burn::tensor::distributed::ReduceOperation;
use burn::tensor::{DType, Device, Tensor};

use super::plan::Plan;

/// The whole unit as one vector, on every member's device, from what each member owns of it.
pub(super) fn gather(plan: &Plan, unit: usize, shares: Vec<Tensor<1>>) -> Vec<Tensor<1>> {
    Tensor::all_gather(shares, 0)
        .into_iter()
        .map(|padded| without_padding(plan, unit, padded))
        .collect()
}

/// A member's share of the sum of what all members bring: vectors of the unit with every share padded.
pub(super) fn reduce(vectors: Vec<Tensor<1>>) -> Vec<Tensor<1>> {
    Tensor::reduce_scatter(vectors, 0, ReduceOperation::Sum)
}

/// Tensors of a device and a precision one after the other, and zeros up to `length`.
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

/// Cuts the padding out. Where there is none between shares, the result is a view; else a copy, and what was gathered
/// is freed.
fn without_padding(plan: &Plan, unit: usize, padded: Tensor<1>) -> Tensor<1> {
    let stride = plan.padded(unit);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for member in 0..plan.members() {
        let length = plan.share(unit, member).len();
        match runs.last_mut() {
            Some(last) if last.end == member * stride => last.end += length,
            _ if length == 0 => {}
            _ => runs.push(member * stride..member * stride + length),
        }
    }
    let parts = runs.into_iter().map(|run| padded.clone().slice(run)).collect();
    Tensor::cat(parts, 0)
}
