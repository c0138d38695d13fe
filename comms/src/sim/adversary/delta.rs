//! What peers of a contest send: the largest changes of each chunk, in one byte each, and what is left for the next round.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::regression::{CHUNK, NUM_CHUNKS, SIZE, ToyWeights};
use crate::gauntlet::checks::Sketch;
use crate::objects::Exclusion;
use crate::primitives::PeerId;

/// Changes that are sent of each chunk.
pub(crate) const SENT: usize = 8;
/// Bytes of a delta: the scale, then position and code of each change.
pub(crate) const LENGTH: usize = 4 + NUM_CHUNKS * SENT * 2;

/// How much of what was not sent is left for the next round.
const FEEDBACK: f64 = 0.5;

/// A sparse step: for each chunk the same number of changes, by ascending positions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToyDelta {
    pub(crate) scale: f32,
    pub(crate) changes: Vec<(u8, i8)>,
}

impl ToyDelta {
    /// The largest changes of a step.
    pub(crate) fn of(step: &[f64]) -> Self {
        let chosen: Vec<usize> = step.chunks(CHUNK).flat_map(largest).collect();
        let value = |at: usize| step[at / SENT * CHUNK + chosen[at]];
        let most = (0..chosen.len()).map(|at| value(at).abs()).fold(0.0, f64::max);
        let scale = (most / 127.0) as f32;
        let code =
            |at: usize| if most > 0.0 { (value(at) / most * 127.0).round() as i8 } else { 0 };
        Self { scale, changes: (0..chosen.len()).map(|at| (chosen[at] as u8, code(at))).collect() }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        let changes =
            self.changes.iter().flat_map(|(position, code)| [*position, code.cast_unsigned()]);
        self.scale.to_le_bytes().into_iter().chain(changes).collect()
    }

    /// Reads a delta; no other bytes are one.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Exclusion> {
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
        let is_chunk = |changes: &[(u8, i8)]| {
            changes.is_sorted_by(|one, other| one.0 < other.0)
                && changes.iter().all(|(at, _)| usize::from(*at) < CHUNK)
        };
        match scale.abs() < 1e4 && changes.chunks(SENT).all(is_chunk) {
            true => Ok(Self { scale, changes }),
            false => Err(Exclusion::Malformed),
        }
    }

    /// Place and value of every change.
    pub(crate) fn values(&self) -> impl Iterator<Item = (usize, f64)> {
        let place = |(at, (position, code)): (usize, &(u8, i8))| {
            (at / SENT * CHUNK + usize::from(*position), f64::from(*code) * f64::from(self.scale))
        };
        self.changes.iter().enumerate().map(place)
    }

    pub(crate) fn norm(&self) -> f64 {
        self.values().map(|(_, value)| value * value).sum::<f64>().sqrt()
    }

    /// The places that it moves in each of some chunks.
    pub(crate) fn sketch(&self, chunks: &[u64]) -> Sketch {
        let places = |chunk: &u64| {
            let changes = self.changes.iter().skip(*chunk as usize * SENT).take(SENT);
            changes.map(|(position, _)| u32::from(*position)).collect()
        };
        Sketch::new(chunks.iter().map(places).collect())
    }
}

/// Positions of the largest changes of a chunk, ascending.
fn largest(chunk: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..chunk.len()).collect();
    places.sort_by(|one, other| {
        chunk[*other].abs().total_cmp(&chunk[*one].abs()).then(one.cmp(other))
    });
    places.truncate(SENT);
    places.sort_unstable();
    places
}

/// What a peer has learned but not sent.
#[derive(Clone, Debug)]
pub(crate) struct ToyFeedback(ToyWeights);

impl ToyFeedback {
    pub(crate) fn new() -> Self {
        Self(vec![0.0; SIZE])
    }

    /// Sends the largest of what is new and what was left.
    pub(crate) fn compress(&mut self, step: &[f64]) -> ToyDelta {
        self.0.iter_mut().zip(step).for_each(|(left, new)| *left = *left * FEEDBACK + new);
        let delta = ToyDelta::of(&self.0);
        delta.values().for_each(|(place, value)| self.0[place] -= value);
        delta
    }
}

/// Moves weights by `alpha` times the mean of deltas, each clipped to their median norm, over those that send a value.
pub(crate) fn apply(weights: &mut [f64], deltas: &BTreeMap<PeerId, ToyDelta>, alpha: f64) {
    let limit = median_norm(deltas.values());
    let (mut sums, mut senders) = (vec![0.0; SIZE], vec![0.0_f64; SIZE]);
    for delta in deltas.values() {
        let clip = clipping(delta, limit);
        for (place, value) in delta.values() {
            sums[place] += value * clip;
            senders[place] += 1.0;
        }
    }
    let mean = sums.iter().zip(&senders).map(|(sum, senders)| sum / senders.max(1.0));
    weights.iter_mut().zip(mean).for_each(|(weight, mean)| *weight += alpha * mean);
}

/// By what a delta is multiplied so that it is no longer than `limit`.
pub(crate) fn clipping(delta: &ToyDelta, limit: f64) -> f64 {
    if delta.norm() > limit { limit / delta.norm() } else { 1.0 }
}

pub(crate) fn median_norm<'deltas>(deltas: impl Iterator<Item = &'deltas ToyDelta>) -> f64 {
    let mut norms: Vec<f64> = deltas.map(ToyDelta::norm).collect();
    norms.sort_by(f64::total_cmp);
    norms.get(norms.len() / 2).copied().unwrap_or_default()
}

/// The one encoding of weights, of which digests are made.
pub(crate) fn weights_to_bytes(weights: &[f64]) -> Vec<u8> {
    weights.iter().flat_map(|weight| weight.to_le_bytes()).collect()
}
