//! The division of the slabs of a tensor among selectors.

use std::ops::Range;

use rayon::prelude::*;

use super::selector::{TopK, Work};
use crate::sparseloco::config::Profile;
use crate::sparseloco::delta::CodedValue;
use crate::sparseloco::error::SparseLocoError;
use crate::sparseloco::schema::{Schema, TensorSpec};

/// Slabs of a tensor, and the selector that works on them.
#[derive(Clone, Debug)]
pub struct Share<'a> {
    /// Slabs, counted from the start of the tensor.
    pub slabs: Range<usize>,
    /// The selector.
    pub select: &'a dyn TopK,
}

/// Returns an error unless shares cover the slabs of every tensor once and in order.
pub(crate) fn check_shares(
    schema: &Schema,
    shares: &[Vec<Share<'_>>],
) -> Result<(), SparseLocoError> {
    let (expected, got) = (schema.tensors().len(), shares.len());
    if expected != got {
        return Err(SparseLocoError::TensorCount { expected, got });
    }
    for (spec, shares) in schema.tensors().iter().zip(shares) {
        // In order, because the values of a tensor reach the quantizer in the order of shares.
        let mut end = 0;
        let mut is_contiguous = true;
        for Share { slabs, .. } in shares {
            is_contiguous &= slabs.start == end && slabs.start <= slabs.end;
            end = slabs.end;
        }
        if !is_contiguous || end != spec.num_slabs() {
            return Err(SparseLocoError::Shares { name: spec.name().to_owned() });
        }
    }
    Ok(())
}

/// Adds the pseudo-gradient to the decayed error feedback and sets the positions of the entries.
/// Returns their values, chunk by chunk, in the order in which the quantizer of the profile reads
/// them.
pub(crate) fn select(
    profile: Profile,
    spec: &TensorSpec,
    decay: f32,
    shares: &[Share<'_>],
    error: &mut [f32],
    (gradient, entries): (&[f32], &mut [CodedValue]),
) -> Vec<f32> {
    let mut values = vec![0.0; entries.len()];
    let works = works(spec, shares, error, gradient, entries, &mut values);
    works
        .into_par_iter()
        .for_each(|(select, work)| select.select_and_read(profile, spec, decay, work));
    values
}

/// The work of all shares; a share is divided into as many slabs as its selector processes per
/// call.
fn works<'a>(
    spec: &TensorSpec,
    shares: &[Share<'a>],
    mut error: &'a mut [f32],
    gradient: &'a [f32],
    mut entries: &'a mut [CodedValue],
    mut values: &'a mut [f32],
) -> Vec<(&'a dyn TopK, Work<'a>)> {
    // At least one slab: a single slab may already exceed what a device wants per call.
    let parts = shares.iter().flat_map(|Share { slabs, select }| {
        let (slabs, step) = (slabs.clone(), select.slabs_at_once(spec).max(1));
        let starts = slabs.clone().step_by(step);
        starts.map(move |start| (*select, start..slabs.end.min(start + step)))
    });
    let works = parts.map(|(select, slabs)| {
        let (elements, sent) = (spec.elements_of(&slabs), spec.entries_of(&slabs).len());
        let work = Work {
            slabs,
            error: error.split_off_mut(..elements.len()).expect("slabs are in the tensor"),
            gradient: &gradient[elements],
            entries: entries
                .split_off_mut(..sent)
                .expect("entries of slabs are entries of the tensor"),
            values: values.split_off_mut(..sent).expect("there is a value for every entry"),
        };
        (select, work)
    });
    works.collect()
}
