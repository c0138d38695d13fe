//! The deltas of a contest: top-k changes per chunk in 8 bits each, with error feedback.
//!
//! A small model of SparseLoCo's compressor, in the same roles: chunks, top-k, codes, feedback.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::regression::{CHUNK, NUM_CHUNKS, SIZE, ToyWeights};
use crate::gauntlet::checks::Sketch;
use crate::objects::Exclusion;
use crate::primitives::PeerId;

/// Changes per chunk (top-k).
pub(super) const SENT: usize = 8;
/// Bytes of a delta: the scale, then position and code of each change.
pub(super) const LENGTH: usize = 4 + NUM_CHUNKS * SENT * 2;

/// The factor on error feedback from one round to the next.
const FEEDBACK_DECAY: f64 = 0.5;

/// The largest code, which represents the largest change of a delta.
const MAX_CODE: f64 = 127.0;

/// The largest scale of a valid delta.
// Far above honest scales, and low enough that sums of squares stay finite.
const MAX_SCALE: f32 = 1e4;

/// A sparse step: the same number of changes in each chunk, in ascending order of positions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ToyDelta {
    pub(super) scale: f32,
    pub(super) changes: Vec<(u8, i8)>,
}

impl ToyDelta {
    /// The largest changes of a step.
    pub(super) fn of(step: &[f64]) -> Self {
        let positions: Vec<usize> = step.chunks(CHUNK).flat_map(largest).collect();
        let values: Vec<f64> = positions
            .iter()
            .enumerate()
            .map(|(at, position)| step[at / SENT * CHUNK + position])
            .collect();
        let most = values.iter().map(|value| value.abs()).fold(0.0, f64::max);
        let scale = (most / MAX_CODE) as f32;
        let changes = positions.iter().zip(values);
        let changes = changes.map(|(position, value)| (*position as u8, code(value, most)));
        Self { scale, changes: changes.collect() }
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        let changes =
            self.changes.iter().flat_map(|(position, code)| [*position, code.cast_unsigned()]);
        self.scale.to_le_bytes().into_iter().chain(changes).collect()
    }

    /// Parses a delta.
    ///
    /// # Errors
    /// [`Exclusion::Malformed`] or [`Exclusion::NotFinite`].
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Exclusion> {
        let Some((scale, changes)) =
            payload.split_first_chunk::<4>().filter(|_| payload.len() == LENGTH)
        else {
            return Err(Exclusion::Malformed);
        };
        let scale = f32::from_le_bytes(*scale);
        if !scale.is_finite() {
            return Err(Exclusion::NotFinite);
        }
        let changes: Vec<(u8, i8)> = changes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[position, code]| (*position, code.cast_signed()))
            .collect();
        if scale.abs() < MAX_SCALE && changes.chunks(SENT).all(is_valid_chunk) {
            Ok(Self { scale, changes })
        } else {
            Err(Exclusion::Malformed)
        }
    }

    /// The index of the weight and the value of every change.
    pub(super) fn values(&self) -> impl Iterator<Item = (usize, f64)> {
        self.changes.iter().enumerate().map(|(at, (position, code))| {
            (at / SENT * CHUNK + usize::from(*position), f64::from(*code) * f64::from(self.scale))
        })
    }

    pub(super) fn norm(&self) -> f64 {
        self.values().map(|(_, value)| value * value).sum::<f64>().sqrt()
    }

    /// The positions of the changes in each of these chunks.
    pub(super) fn sketch(&self, chunks: &[u64]) -> Sketch {
        Sketch::new(chunks.iter().map(|chunk| self.positions(*chunk as usize)).collect())
    }

    fn positions<C: FromIterator<u32>>(&self, chunk: usize) -> C {
        let changes = self.changes.iter().skip(chunk * SENT).take(SENT);
        changes.map(|(position, _)| u32::from(*position)).collect()
    }
}

fn code(value: f64, most: f64) -> i8 {
    // All values are zero if the largest is: no division by zero.
    if most > 0.0 { (value / most * MAX_CODE).round() as i8 } else { 0 }
}

/// Distinct positions in ascending order, within the chunk: one delta has one encoding.
fn is_valid_chunk(changes: &[(u8, i8)]) -> bool {
    changes.is_sorted_by(|one, other| one.0 < other.0)
        && changes.iter().all(|(position, _)| usize::from(*position) < CHUNK)
}

/// The positions of the largest changes of a chunk, in ascending order.
fn largest(chunk: &[f64]) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..chunk.len()).collect();
    // Ties go to the lower position, so the choice does not depend on the sort algorithm.
    positions.sort_by(|one, other| {
        chunk[*other].abs().total_cmp(&chunk[*one].abs()).then(one.cmp(other))
    });
    positions.truncate(SENT);
    positions.sort_unstable();
    positions
}

/// Error feedback: the learned changes that were not sent.
#[derive(Clone, Debug)]
pub(super) struct ToyFeedback(ToyWeights);

impl ToyFeedback {
    pub(super) fn new() -> Self {
        Self(vec![0.0; SIZE])
    }

    /// Adds a step and takes out the largest changes.
    pub(super) fn compress(&mut self, step: &[f64]) -> ToyDelta {
        self.0.iter_mut().zip(step).for_each(|(left, new)| *left = *left * FEEDBACK_DECAY + new);
        let delta = ToyDelta::of(&self.0);
        // The quantized values are subtracted, so the rounding error stays in the feedback.
        delta.values().for_each(|(at, value)| self.0[at] -= value);
        delta
    }
}

/// Moves weights by `alpha` times the mean of deltas, each clipped to their median norm. The mean
/// of a weight is over the deltas that send a value for it.
pub(super) fn apply(weights: &mut [f64], deltas: &BTreeMap<PeerId, ToyDelta>, alpha: f64) {
    let limit = median_norm(deltas.values());
    // Summed in ascending order of peers: validators compare digests of the result.
    let (mut sums, mut senders) = (vec![0.0; SIZE], vec![0.0_f64; SIZE]);
    for delta in deltas.values() {
        let clip = clip_factor(delta, limit);
        for (at, value) in delta.values() {
            sums[at] += value * clip;
            senders[at] += 1.0;
        }
    }
    let mean = sums.iter().zip(&senders).map(|(sum, senders)| sum / senders.max(1.0));
    weights.iter_mut().zip(mean).for_each(|(weight, mean)| *weight += alpha * mean);
}

/// The factor that clips a delta to the norm `limit`.
pub(super) fn clip_factor(delta: &ToyDelta, limit: f64) -> f64 {
    if delta.norm() > limit { limit / delta.norm() } else { 1.0 }
}

pub(super) fn median_norm<'deltas>(deltas: impl Iterator<Item = &'deltas ToyDelta>) -> f64 {
    let mut norms: Vec<f64> = deltas.map(ToyDelta::norm).collect();
    norms.sort_by(f64::total_cmp);
    norms.get(norms.len() / 2).copied().unwrap_or_default()
}

/// The canonical encoding of weights, for their digest.
pub(super) fn weights_to_bytes(weights: &[f64]) -> Vec<u8> {
    weights.iter().flat_map(|weight| weight.to_le_bytes()).collect()
}
