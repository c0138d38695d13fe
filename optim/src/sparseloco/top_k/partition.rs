//! How the slabs of a tensor are shared out among those who look for the largest values.

use std::ops::Range;

use rayon::prelude::*;

use super::selector::{TopK, Work};
use crate::sparseloco::config::Profile;
use crate::sparseloco::delta::CodedValue;
use crate::sparseloco::error::SparseLocoError;
use crate::sparseloco::schema::{Schema, TensorSpec};

/// Some slabs of a tensor, and who finds the largest values in them.
#[derive(Clone, Debug)]
pub struct Share<'a> {
    /// Slabs, counted from the start of the tensor.
    pub slabs: Range<usize>,
    /// Who works on them.
    pub select: &'a dyn TopK,
}

/// Holds shares against the slabs of every tensor.
pub(crate) fn check_shares(
    schema: &Schema,
    shares: &[Vec<Share<'_>>],
) -> Result<(), SparseLocoError> {
    let (expected, got) = (schema.tensors().len(), shares.len());
    if expected != got {
        return Err(SparseLocoError::TensorCount { expected, got });
    }
    let follows = |end: Option<usize>, share: &Share<'_>| {
        end.filter(|end| *end == share.slabs.start && *end <= share.slabs.end)
            .map(|_| share.slabs.end)
    };
    let covers = |spec: &TensorSpec, shares: &[Share<'_>]| {
        shares.iter().fold(Some(0), follows) == Some(spec.num_slabs())
    };
    match schema.tensors().iter().zip(shares).find(|(spec, shares)| !covers(spec, shares)) {
        None => Ok(()),
        Some((spec, _)) => Err(SparseLocoError::Shares { name: spec.name().to_owned() }),
    }
}

/// Adds the pseudo-gradient to the decayed error, marks the entries and returns their values, chunk by chunk, in the
/// order in which the profile's quantiser takes them.
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

/// The shares, each cut into as many slabs as its owner wants at once.
fn works<'a>(
    spec: &TensorSpec,
    shares: &[Share<'a>],
    mut error: &'a mut [f32],
    gradient: &'a [f32],
    mut entries: &'a mut [CodedValue],
    mut values: &'a mut [f32],
) -> Vec<(&'a dyn TopK, Work<'a>)> {
    let part = |share: &Share<'a>| {
        let (slabs, select, step) =
            (share.slabs.clone(), share.select, share.select.slabs_at_once(spec).max(1));
        slabs.clone().step_by(step).map(move |start| (select, start..slabs.end.min(start + step)))
    };
    let works = shares.iter().flat_map(part).map(|(select, slabs)| {
        let (elements, sent) = (spec.elements_of(&slabs), spec.entries_of(&slabs).len());
        let work = Work {
            slabs,
            error: error.split_off_mut(..elements.len()).expect("slabs lie in the tensor"),
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
