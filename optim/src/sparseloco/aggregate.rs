//! The mean of many deltas, each clipped to the median norm.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use multiversion::multiversion;
use rayon::prelude::*;

use super::chunks::ChunkGrid;
use super::config::{CHUNK_LIMIT, Clip, MeanOver, Profile};
use super::delta::{CodedValue, Delta, TensorDelta};
use super::error::SparseLocoError;
use super::schema::TensorSpec;

/// Added to norms by the published rule, to keep the factor of a delta of zeros finite.
const NORM_FLOOR: f64 = 1e-8;

/// The mean of the deltas of a round: one dense vector per tensor, in the order of the schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The elements of each tensor, row by row.
    pub tensors: Vec<Vec<f32>>,
}

/// Clips each tensor of each delta to the median norm, if `clip` is set, and averages.
///
/// Clipping bounds the influence of a single peer to that of a typical peer. Each coordinate is a
/// plain `f32` sum in the order of the peer IDs, so every peer gets the same bits. With a
/// transform, frequencies are averaged and transformed into elements once, at the end.
///
/// Cost: one pass over the entries of all deltas and one over all elements, in parallel over
/// tensors and slabs.
///
/// # Errors
///
/// [`SparseLocoError`] if there are no deltas, or if their schemas differ.
pub fn aggregate<P: Ord>(
    deltas: &BTreeMap<P, impl Borrow<Delta>>,
    mean_over: MeanOver,
    clip: Clip,
) -> Result<Aggregate, SparseLocoError> {
    let deltas: Vec<&Delta> = deltas.values().map(Borrow::borrow).collect();
    let first = deltas.first().ok_or(SparseLocoError::NoDeltas)?;
    if deltas.iter().any(|delta| delta.schema() != first.schema()) {
        return Err(SparseLocoError::OtherSchema);
    }
    let tensors = (0..first.schema().tensors().len()).into_par_iter().map(|index| {
        let tensors: Vec<TensorDelta<'_>> =
            deltas.iter().map(|delta| delta.tensor(index)).collect();
        aggregate_tensor(&tensors, mean_over, clip)
    });
    Ok(Aggregate { tensors: tensors.collect() })
}

/// As [`aggregate`], for one tensor, if the aggregate of a model does not fit into memory. Returns
/// an empty vector for no deltas.
///
/// All deltas must be of the same tensor of one schema, in the order of the peer IDs.
pub fn aggregate_tensor(deltas: &[TensorDelta<'_>], mean_over: MeanOver, clip: Clip) -> Vec<f32> {
    let Some(spec) = deltas.first().map(|delta| delta.spec) else { return Vec::new() };
    let parts: Vec<PeerPart<'_>> = match clip {
        Clip::MedianNorm => clipped(deltas),
        Clip::Off => deltas
            .iter()
            .map(|delta| PeerPart { entries: delta.entries, levels: delta.levels })
            .collect(),
    };
    let mut mean = vec![0.0; spec.grid().len()];
    let slabs = mean.par_chunks_mut(spec.grid().slab_len()).enumerate();
    slabs.for_each_init(ChunkSums::new, |tile, (slab, mean)| {
        for column in 0..spec.grid().chunks_per_slab() {
            // Sums stay in a tile of 32 KiB while all peers add to it; the dense vector is written
            // once.
            tile.sum(spec, slab * spec.grid().chunks_per_slab() + column, &parts);
            match mean_over {
                MeanOver::Senders => mean_over_senders(spec.grid(), column, tile, mean),
                MeanOver::Peers => {
                    mean_over_peers(spec.grid(), column, tile, parts.len() as f32, mean);
                }
            }
        }
    });
    // The transform is linear, so the mean of frequencies is the frequency of the mean: one inverse
    // instead of one per peer.
    if let Some(transform) = spec.transform() {
        transform.inverse(&mut mean);
    }
    mean
}

/// The part of one peer in a tensor: its entries, and its levels after clipping.
struct PeerPart<'a> {
    entries: &'a [CodedValue],
    levels: [f32; 4],
}

/// The factor of each delta that clips its norm to the lower median of all norms.
pub fn clip_scales(deltas: &[TensorDelta<'_>]) -> Vec<f32> {
    let norms: Vec<f64> = deltas.par_iter().map(TensorDelta::norm).collect();
    let mut sorted = norms.clone();
    sorted.sort_by(f64::total_cmp);
    // The lower median: half of the peers, rounded down, cannot raise it above all norms of the
    // others.
    let median = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    deltas
        .iter()
        .zip(norms)
        .map(|(delta, norm)| clip_scale(delta.profile, norm, median) as f32)
        .collect()
}

/// The part of each peer, clipped.
fn clipped<'a>(deltas: &[TensorDelta<'a>]) -> Vec<PeerPart<'a>> {
    // Scaling the four levels scales all values.
    let parts = deltas.iter().zip(clip_scales(deltas)).map(|(delta, scale)| PeerPart {
        entries: delta.entries,
        levels: delta.levels.map(|level| level * scale),
    });
    parts.collect()
}

/// The factor of one delta. The published rule also shrinks typical deltas a little, and small ones
/// more, because of [`NORM_FLOOR`]. The rule of `covey` leaves deltas up to the median unchanged.
fn clip_scale(profile: Profile, norm: f64, median: f64) -> f64 {
    match profile {
        Profile::Reference => (median / (norm + NORM_FLOOR)).min(1.0),
        Profile::Covey if norm > median => median / norm,
        Profile::Covey => 1.0,
    }
}

/// The sums of one chunk, and the number of peers that sent each coordinate.
struct ChunkSums {
    sums: [f32; CHUNK_LIMIT],
    senders: [u32; CHUNK_LIMIT],
}

impl ChunkSums {
    fn new() -> Self {
        Self { sums: [0.0; CHUNK_LIMIT], senders: [0; CHUNK_LIMIT] }
    }

    fn sum(&mut self, spec: &TensorSpec, chunk: usize, parts: &[PeerPart<'_>]) {
        let length = spec.chunk_len(chunk);
        self.sums[..length].fill(0.0);
        self.senders[..length].fill(0);
        let start = chunk * spec.kept();
        for part in parts {
            for entry in &part.entries[start..part.entries.len().min(start + spec.kept())] {
                self.sums[entry.position()] += part.levels[entry.code()];
                self.senders[entry.position()] += 1;
            }
        }
    }
}

/// Writes the means of one chunk, each over the peers that sent it, into its slab.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn mean_over_senders(grid: &ChunkGrid, column: usize, tile: &ChunkSums, mean: &mut [f32]) {
    let columns = grid.block_columns().min(mean.len());
    let tiles = tile.sums.chunks(columns).zip(tile.senders.chunks(columns));
    for (row, (sums, senders)) in mean.chunks_mut(grid.row_stride()).zip(tiles) {
        let row = &mut row[column * columns..][..columns];
        for (mean, (sum, senders)) in row.iter_mut().zip(sums.iter().zip(senders)) {
            // A coordinate without senders has a sum of 0, so it stays 0.
            *mean = *sum / (*senders).max(1) as f32;
        }
    }
}

/// Writes the means of one chunk over all peers into its slab.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn mean_over_peers(
    grid: &ChunkGrid,
    column: usize,
    tile: &ChunkSums,
    peers: f32,
    mean: &mut [f32],
) {
    let columns = grid.block_columns().min(mean.len());
    for (row, sums) in mean.chunks_mut(grid.row_stride()).zip(tile.sums.chunks(columns)) {
        let row = &mut row[column * columns..][..columns];
        row.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = *sum / peers);
    }
}
