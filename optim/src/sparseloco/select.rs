//! Who finds the largest values of a tensor's slabs: the CPU, or a device that does it faster.

use std::fmt::Debug;
use std::ops::Range;

use multiversion::multiversion;

use super::delta::Entry;
use super::profile::CHUNK_LIMIT;
use super::schema::TensorSpec;
use super::selection::Selector;

/// Elements that are worth the hand-over to another thread, and few enough to stay in a second-level cache.
const GRAIN: usize = 16 * 1024;

/// Something that adds a pseudo-gradient to the error feedback and finds the largest values of each chunk.
///
/// Implementations differ in speed and in nothing else: peers with different ones publish the same bytes for the same
/// numbers.
///
/// - `error = decay * error + gradient`, the product rounded to fp32 before the sum: no fused multiply-add.
/// - Positions are those that [`Selector`] finds: magnitudes compared as bit patterns, of equal ones the lower position
///   first, ascending.
pub trait Select: Send + Sync + Debug {
    /// Works on `slabs` of the tensor `spec`.
    ///
    /// `error`, `gradient` and `entries` are those of these slabs alone, see [`TensorSpec::elements_of`] and
    /// [`TensorSpec::entries_of`]; `gradient` has been transformed if the schema sends frequencies. Entries get their
    /// positions, chunk by chunk, with code 0.
    fn select(
        &self,
        spec: &TensorSpec,
        slabs: Range<usize>,
        decay: f32,
        error: &mut [f32],
        gradient: &[f32],
        entries: &mut [Entry],
    );

    /// Slabs that one call should work on: all, unless this says otherwise. Calls come from several threads at once.
    fn slabs_at_once(&self, spec: &TensorSpec) -> usize {
        spec.num_slabs()
    }
}

/// Selection on the CPU: the reference.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuSelect;

impl Select for CpuSelect {
    fn select(
        &self,
        spec: &TensorSpec,
        _: Range<usize>,
        decay: f32,
        error: &mut [f32],
        gradient: &[f32],
        entries: &mut [Entry],
    ) {
        let (mut selector, mut tile) = (Selector::default(), [0.0; CHUNK_LIMIT]);
        let slabs = error.chunks_mut(spec.grid().slab_len()).zip(gradient.chunks(spec.grid().slab_len()));
        for ((error, gradient), entries) in slabs.zip(entries.chunks_mut(spec.entries_per_slab())) {
            accumulate(decay, error, gradient);
            for (column, entries) in entries.chunks_mut(spec.kept()).enumerate() {
                let tile = &mut tile[..spec.grid().chunk_len().min(error.len())];
                spec.grid().read(column, error, tile);
                selector.select(tile, entries);
            }
        }
    }

    /// Few: threads share them out, and their values are read again while they are in the cache.
    fn slabs_at_once(&self, spec: &TensorSpec) -> usize {
        GRAIN.div_ceil(spec.grid().slab_len())
    }
}

/// `error = decay * error + gradient`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn accumulate(decay: f32, error: &mut [f32], gradient: &[f32]) {
    error.iter_mut().zip(gradient).for_each(|(error, gradient)| *error = *error * decay + *gradient);
}
