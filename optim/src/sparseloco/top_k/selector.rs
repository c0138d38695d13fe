//! The interface of top-k selection, and its implementation on the CPU.

use std::fmt::Debug;
use std::ops::Range;

use multiversion::multiversion;

use super::cpu::Selector;
use super::torch_order::published_order;
use crate::sparseloco::config::{CHUNK_LIMIT, Profile, TASK_LEN};
use crate::sparseloco::delta::CodedValue;
use crate::sparseloco::schema::TensorSpec;

/// Slabs of a tensor, and the parts of all arrays that belong to them.
#[derive(Debug)]
pub struct Work<'a> {
    /// Slabs, counted from the start of the tensor.
    pub slabs: Range<usize>,
    /// Error feedback.
    pub error: &'a mut [f32],
    /// Pseudo-gradient, in frequencies if the schema has a transform.
    pub gradient: &'a [f32],
    /// Entries.
    pub entries: &'a mut [CodedValue],
    /// Output: the values of the entries, chunk by chunk, in the order in which the quantizer of
    /// the profile reads them.
    pub values: &'a mut [f32],
}

/// Adds a pseudo-gradient to the error feedback and finds the values of largest magnitude of each
/// chunk.
///
/// Implementations differ only in speed: for the same inputs all of them give the same delta.
///
/// - `error = decay * error + gradient`. The product is rounded to fp32 before the sum: no fused
///   multiply-add.
/// - Positions are those of [`Selector`]: magnitudes are compared as bit patterns, the lower
///   position wins ties, positions ascend.
pub trait TopK: Send + Sync + Debug {
    /// Processes `slabs` of the tensor `spec`.
    ///
    /// `error`, `gradient` and `entries` are those of these slabs alone, see
    /// [`TensorSpec::elements_of`] and [`TensorSpec::entries_of`]. `gradient` is in frequencies if
    /// the schema has a transform. Entries get their positions, chunk by chunk, with code 0.
    fn select(
        &self,
        spec: &TensorSpec,
        slabs: Range<usize>,
        decay: f32,
        error: &mut [f32],
        gradient: &[f32],
        entries: &mut [CodedValue],
    );

    /// As [`TopK::select`], and reads the values of the entries. The compressor calls this method.
    /// Override it if values are in fast memory during selection.
    fn select_and_read(&self, profile: Profile, spec: &TensorSpec, decay: f32, work: Work<'_>) {
        self.select(spec, work.slabs, decay, work.error, work.gradient, work.entries);
        read_selected(profile, spec, work.error, work.entries, work.values);
    }

    /// The number of slabs per call; all by default. Calls come from several threads at once.
    fn slabs_at_once(&self, spec: &TensorSpec) -> usize {
        spec.num_slabs()
    }
}

/// Top-k on the CPU: the reference implementation.
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
        // The number of slabs follows from the length of `error`.
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

    /// One task of the thread pool.
    fn slabs_at_once(&self, spec: &TensorSpec) -> usize {
        TASK_LEN.div_ceil(spec.grid().slab_len())
    }
}

/// Adds slab by slab to the error feedback and sets the entries of each chunk, then calls `then`
/// while the chunk is in the cache.
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

/// `error = decay * error + gradient`, the product rounded before the sum.
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
                // The published order depends on all values of the chunk, not only on those sent.
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

/// Copies the value of each entry.
fn read_at(entries: &[CodedValue], values: &mut [f32], value: impl Fn(&CodedValue) -> f32) {
    entries.iter().zip(values).for_each(|(entry, place)| *place = value(entry));
}
