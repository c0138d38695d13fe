//! What many deltas amount to: every sender held to the median norm, then the mean.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use multiversion::multiversion;
use rayon::prelude::*;

use super::config::{CHUNK_LIMIT, Clip, MeanOver, Profile};
use super::delta::{CodedValue, Delta, TensorDelta};
use super::error::SparseLocoError;
use super::schema::TensorSpec;
use crate::sparseloco::chunks::ChunkGrid;

/// Keeps the published clipping factor finite for a delta of zeros.
const NORM_FLOOR: f64 = 1e-8;

/// The mean step of a round, dense, one vector per tensor in the order of the schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Elements of each tensor, row by row.
    pub tensors: Vec<Vec<f32>>,
}

/// Clips each delta to the median norm (or not), tensor by tensor, and averages.
///
/// One loud peer can therefore move the result no further than a typical one. Each coordinate is a plain `f32` sum in
/// the order of the peers' ids, so every honest node gets the same bits. Frequencies, if those are sent, are averaged
/// first and turned into elements once, at the end.
///
/// # Errors
///
/// No deltas, or deltas of different schemas.
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

/// As [`aggregate`], for one tensor alone: for models whose dense step does not fit in memory. Empty without deltas.
///
/// All must be deltas of the same tensor of one schema, in the order of the peers' ids.
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
            tile.sum(spec, slab * spec.grid().chunks_per_slab() + column, &parts);
            match mean_over {
                MeanOver::Senders => write_senders(spec.grid(), column, tile, mean),
                MeanOver::Peers => write_peers(spec.grid(), column, tile, parts.len() as f32, mean),
            }
        }
    });
    if let Some(transform) = spec.transform() {
        transform.inverse(&mut mean);
    }
    mean
}

/// One peer's part in a tensor: entries, and levels after clipping.
struct PeerPart<'a> {
    entries: &'a [CodedValue],
    levels: [f32; 4],
}

/// What brings each of several deltas of one tensor down to the lower median of their norms.
pub fn clip_scales(deltas: &[TensorDelta<'_>]) -> Vec<f32> {
    let norms: Vec<f64> = deltas.par_iter().map(TensorDelta::norm).collect();
    let mut sorted = norms.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    let scale =
        |(delta, norm): (&TensorDelta<'_>, f64)| clip_scale(delta.profile, norm, median) as f32;
    deltas.iter().zip(norms).map(scale).collect()
}

fn clipped<'a>(deltas: &[TensorDelta<'a>]) -> Vec<PeerPart<'a>> {
    let part = |(delta, scale): (&TensorDelta<'a>, f32)| PeerPart {
        entries: delta.entries,
        levels: delta.levels.map(|level| level * scale),
    };
    deltas.iter().zip(clip_scales(deltas)).map(part).collect()
}

/// The published rule shrinks typical deltas a little, too, and small ones by more than a little; ours leaves them be.
fn clip_scale(profile: Profile, norm: f64, median: f64) -> f64 {
    match profile {
        Profile::Reference => (median / (norm + NORM_FLOOR)).min(1.0),
        Profile::Covey if norm > median => median / norm,
        Profile::Covey => 1.0,
    }
}

/// Sums of one chunk and how many peers sent each coordinate.
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

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn write_senders(grid: &ChunkGrid, column: usize, tile: &ChunkSums, mean: &mut [f32]) {
    let columns = grid.block_columns().min(mean.len());
    let tiles = tile.sums.chunks(columns).zip(tile.senders.chunks(columns));
    for (row, (sums, senders)) in mean.chunks_mut(grid.row_stride()).zip(tiles) {
        let row = &mut row[column * columns..][..columns];
        for (mean, (sum, senders)) in row.iter_mut().zip(sums.iter().zip(senders)) {
            *mean = *sum / (*senders).max(1) as f32;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn write_peers(grid: &ChunkGrid, column: usize, tile: &ChunkSums, peers: f32, mean: &mut [f32]) {
    let columns = grid.block_columns().min(mean.len());
    for (row, sums) in mean.chunks_mut(grid.row_stride()).zip(tile.sums.chunks(columns)) {
        let row = &mut row[column * columns..][..columns];
        row.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = *sum / peers);
    }
}
