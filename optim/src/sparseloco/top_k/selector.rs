//! Who finds the largest values of a tensor's slabs: the CPU, or a device that does it faster.

use std::fmt::Debug;
use std::ops::Range;

use multiversion::multiversion;

use super::cpu::Selector;
use super::torch_order::published_order;
use crate::sparseloco::config::{CHUNK_LIMIT, Profile};
use crate::sparseloco::delta::CodedValue;
use crate::sparseloco::schema::TensorSpec;

/// Elements that are worth the hand-over to another thread.
const GRAIN: usize = 16 * 1024;

/// Some slabs of a tensor, and all that belongs to them.
#[derive(Debug)]
pub struct Work<'a> {
    /// Slabs, counted from the start of the tensor.
    pub slabs: Range<usize>,
    /// Their error feedback.
    pub error: &'a mut [f32],
    /// Their pseudo-gradient, transformed if the schema sends frequencies.
    pub gradient: &'a [f32],
    /// Their entries.
    pub entries: &'a mut [CodedValue],
    /// Room for the values of the entries, chunk by chunk, in the order in which the profile's quantiser takes them.
    pub values: &'a mut [f32],
}

/// Something that adds a pseudo-gradient to the error feedback and finds the largest values of each chunk.
///
/// Implementations differ in speed and in nothing else: peers with different ones publish the same bytes for the same
/// numbers.
///
/// - `error = decay * error + gradient`, the product rounded to fp32 before the sum: no fused multiply-add.
/// - Positions are those that [`Selector`] finds: magnitudes compared as bit patterns, of equal ones the lower position
///   first, ascending.
pub trait TopK: Send + Sync + Debug {
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
        entries: &mut [CodedValue],
    );

    /// Does the same, and reads the values of the entries: what the compressor calls. Only worth another form where
    /// values are at hand anyway.
    fn select_and_read(&self, profile: Profile, spec: &TensorSpec, decay: f32, work: Work<'_>) {
        self.select(spec, work.slabs, decay, work.error, work.gradient, work.entries);
        read_selected(profile, spec, work.error, work.entries, work.values);
    }

    /// Slabs that one call should work on: all, unless this says otherwise. Calls come from several threads at once.
    fn slabs_at_once(&self, spec: &TensorSpec) -> usize {
        spec.num_slabs()
    }
}

/// Selection on the CPU: the reference.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTopK;

impl TopK for CpuTopK {
    fn select(
        &self,
        spec: &TensorSpec,
        _: Range<usize>,
        decay: f32,
        error: &mut [f32],
        gradient: &[f32],
        entries: &mut [CodedValue],
    ) {
        on_chunks(spec, decay, error, gradient, entries, |_, _| ());
    }

    fn select_and_read(&self, profile: Profile, spec: &TensorSpec, decay: f32, work: Work<'_>) {
        let mut rest = work.values;
        on_chunks(spec, decay, work.error, work.gradient, work.entries, |tile, entries| {
            let values =
                rest.split_off_mut(..entries.len()).expect("there is a value for every entry");
            match profile {
                Profile::Reference => published_order(tile, entries, values),
                Profile::Covey => read_at(entries, values, |entry| tile[entry.position()]),
            }
        });
    }

    /// Few: threads share them out.
    fn slabs_at_once(&self, spec: &TensorSpec) -> usize {
        GRAIN.div_ceil(spec.grid().slab_len())
    }
}

/// Adds slab after slab to the error and marks the entries of each chunk, which `then` gets while it is in the cache.
fn on_chunks(
    spec: &TensorSpec,
    decay: f32,
    error: &mut [f32],
    gradient: &[f32],
    entries: &mut [CodedValue],
    mut then: impl FnMut(&[f32], &[CodedValue]),
) {
    let (mut selector, mut tile) = (Selector::default(), [0.0; CHUNK_LIMIT]);
    let slabs =
        error.chunks_mut(spec.grid().slab_len()).zip(gradient.chunks(spec.grid().slab_len()));
    for ((error, gradient), entries) in slabs.zip(entries.chunks_mut(spec.entries_per_slab())) {
        accumulate(decay, error, gradient);
        for (column, entries) in entries.chunks_mut(spec.kept()).enumerate() {
            let tile = &mut tile[..spec.grid().chunk_len().min(error.len())];
            spec.grid().read(column, error, tile);
            selector.select(tile, entries);
            then(tile, entries);
        }
    }
}

/// `error = decay * error + gradient`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(crate) fn accumulate(decay: f32, error: &mut [f32], gradient: &[f32]) {
    error
        .iter_mut()
        .zip(gradient)
        .for_each(|(error, gradient)| *error = *error * decay + *gradient);
}

/// Copies the values of entries, slab by slab and chunk by chunk.
fn read_selected(
    profile: Profile,
    spec: &TensorSpec,
    error: &[f32],
    entries: &[CodedValue],
    values: &mut [f32],
) {
    let (grid, sent) = (spec.grid(), spec.entries_per_slab());
    let slabs =
        error.chunks(grid.slab_len()).zip(entries.chunks(sent).zip(values.chunks_mut(sent)));
    let mut tile = [0.0; CHUNK_LIMIT];
    for (error, (entries, values)) in slabs {
        let chunks = entries.chunks(spec.kept()).zip(values.chunks_mut(spec.kept()));
        for (column, (entries, values)) in chunks.enumerate() {
            match profile {
                Profile::Reference => {
                    let tile = &mut tile[..grid.chunk_len().min(error.len())];
                    grid.read(column, error, tile);
                    published_order(tile, entries, values);
                }
                Profile::Covey => {
                    read_at(entries, values, |entry| {
                        error[grid.index_in_slab(column, entry.position())]
                    });
                }
            }
        }
    }
}

fn read_at(entries: &[CodedValue], values: &mut [f32], value: impl Fn(&CodedValue) -> f32) {
    entries.iter().zip(values).for_each(|(entry, place)| *place = value(entry));
}
