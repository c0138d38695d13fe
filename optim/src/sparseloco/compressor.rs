//! From a pseudo-gradient to a delta; what the delta does not say waits in the error feedback.

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;

use super::delta::{CodedValue, Delta};
use super::error::SparseLocoError;
use super::quantizer::{Fit, LEVEL_LIMIT};
use super::schema::{Schema, TensorSpec};
use crate::sparseloco::chunks::INPUT_LIMIT;
use crate::sparseloco::top_k::{CpuTopK, Share, check_shares, select};

/// Elements that are worth the hand-over to another thread.
const GRAIN: usize = 16 * 1024;

/// Compresses one peer's steps, round after round, and remembers what it could not say.
///
/// Per tensor and round: `a = decay * e + d`; the largest values of each chunk of `a`, quantised, are the delta;
/// `e = a - delta`, as others decode it, so that rounding errors are said later, too.
///
/// Where the schema sends frequencies, `d` is transformed first and `e` is kept in frequencies, too: the transform is
/// linear and orthonormal, so this is the feedback of elements without a rounding on the way there and back.
///
/// - A tensor never contains a NaN or an infinity.
/// - Same inputs, same bits, for any number of threads.
#[derive(Clone, Debug)]
pub struct Compressor {
    schema: Arc<Schema>,
    decay: f32,
    errors: Vec<Vec<f32>>,
}

impl Compressor {
    /// A compressor that has said everything so far.
    pub fn new(schema: Arc<Schema>, decay: f32) -> Self {
        let errors = schema.tensors().iter().map(|spec| vec![0.0; spec.grid().len()]).collect();
        Self { schema, decay, errors }
    }

    /// The form of every delta.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Error feedback of each tensor in the order of the schema: the whole state, for checkpoints. Frequencies where the
    /// schema sends those.
    pub fn errors(&self) -> &[Vec<f32>] {
        &self.errors
    }

    /// Goes on from the error feedback of a checkpoint.
    ///
    /// # Errors
    ///
    /// Another number of tensors or elements, or numbers that are not finite; the state stays as it was.
    pub fn restore(&mut self, errors: Vec<Vec<f32>>) -> Result<(), SparseLocoError> {
        let what = "error feedback";
        self.schema.check_lengths(what, errors.iter().map(Vec::len))?;
        self.schema.check_range(what, LEVEL_LIMIT, errors.iter().map(Vec::as_slice))?;
        self.errors = errors;
        Ok(())
    }

    /// Forgets everything unsaid, as after a void round of the publication.
    pub fn reset(&mut self) {
        self.errors.par_iter_mut().for_each(|error| error.fill(0.0));
    }

    /// The delta of a pseudo-gradient: start minus end of the inner steps, per tensor in the order of the schema.
    ///
    /// # Errors
    ///
    /// Tensors of another form, or numbers that are not finite or beyond 1e25; the state stays as it was.
    pub fn compress(&mut self, pseudo_gradient: &[&[f32]]) -> Result<Delta, SparseLocoError> {
        let whole =
            |spec: &TensorSpec| vec![Share { slabs: 0..spec.num_slabs(), select: &CpuTopK }];
        let shares: Vec<_> = self.schema.tensors().iter().map(whole).collect();
        self.compress_on(pseudo_gradient, &shares)
    }

    /// As [`Compressor::compress`], but of each tensor slabs are shared out among those who look for the largest values.
    /// The delta is the same, whoever they are.
    ///
    /// # Errors
    ///
    /// As [`Compressor::compress`], and shares that are not the slabs of a tensor, each once and in order.
    pub fn compress_on(
        &mut self,
        pseudo_gradient: &[&[f32]],
        shares: &[Vec<Share<'_>>],
    ) -> Result<Delta, SparseLocoError> {
        let what = "pseudo-gradient";
        self.schema.check_lengths(what, pseudo_gradient.iter().map(|tensor| tensor.len()))?;
        self.schema.check_range(what, INPUT_LIMIT, pseudo_gradient.iter().copied())?;
        check_shares(&self.schema, shares)?;
        let mut entries = vec![CodedValue::default(); self.schema.num_entries()];
        let parts = split_by_tensor(&self.schema, &mut entries);
        let (profile, decay) = (self.schema.profile(), self.decay);
        let inputs = self.schema.tensors().par_iter().zip(pseudo_gradient).zip(shares);
        let levels = inputs.zip(&mut self.errors).zip(parts).map(
            |((((spec, gradient), shares), error), entries)| {
                let gradient = in_the_form_sent(spec, gradient);
                let values = select(profile, spec, decay, shares, error, (&gradient, entries));
                let fit = Fit::new(profile, &values);
                quantise(spec, &fit, error, entries);
                fit.levels()
            },
        );
        let levels = levels.collect();
        Ok(Delta::trusted(Arc::clone(&self.schema), entries, levels))
    }

    /// Takes a delta back that no one applied, so that its mass is said again.
    ///
    /// # Errors
    ///
    /// A delta of another schema.
    pub fn return_mass(&mut self, delta: &Delta) -> Result<(), SparseLocoError> {
        if delta.schema() != &self.schema {
            return Err(SparseLocoError::OtherSchema);
        }
        self.errors
            .iter_mut()
            .zip(delta.tensors())
            .for_each(|(error, tensor)| tensor.add_to(error));
        Ok(())
    }

    /// Puts the delta that others saw in the place of the one that was made: what it said too little is said later, what
    /// it said too much is taken back.
    ///
    /// For a peer that starts again from an older state and makes another delta than the one it has published.
    ///
    /// # Errors
    ///
    /// A delta of another schema.
    pub fn replace(&mut self, made: &Delta, published: &Delta) -> Result<(), SparseLocoError> {
        if [made, published].iter().any(|delta| delta.schema() != &self.schema) {
            return Err(SparseLocoError::OtherSchema);
        }
        let pairs = made.tensors().zip(published.tensors());
        self.errors
            .iter_mut()
            .zip(pairs)
            .for_each(|(error, (made, other))| made.add_difference(&other, error));
        Ok(())
    }
}

/// One mutable slice of entries per tensor.
fn split_by_tensor<'a>(
    schema: &Schema,
    mut entries: &'a mut [CodedValue],
) -> Vec<&'a mut [CodedValue]> {
    let mut split = |spec: &TensorSpec| {
        let (part, rest) = std::mem::take(&mut entries).split_at_mut(spec.entries().len());
        entries = rest;
        part
    };
    schema.tensors().iter().map(&mut split).collect()
}

/// A tensor of the pseudo-gradient as elements or frequencies, whichever the schema sends.
fn in_the_form_sent<'a>(spec: &TensorSpec, gradient: &'a [f32]) -> Cow<'a, [f32]> {
    let Some(transform) = spec.transform() else { return Cow::Borrowed(gradient) };
    let mut frequencies = gradient.to_vec();
    transform.forward(&mut frequencies);
    Cow::Owned(frequencies)
}

/// Gives every entry its code and takes what it says out of the error.
fn quantise(spec: &TensorSpec, fit: &Fit, error: &mut [f32], entries: &mut [CodedValue]) {
    let (slab, sent, levels) = (spec.grid().slab_len(), spec.entries_per_slab(), fit.levels());
    let slabs = error.par_chunks_mut(slab).zip(entries.par_chunks_mut(sent));
    slabs.with_min_len(GRAIN.div_ceil(slab)).for_each(|(error, entries)| {
        for (column, entries) in entries.chunks_mut(spec.kept()).enumerate() {
            for entry in entries {
                let value = &mut error[spec.grid().index_in_slab(column, entry.position())];
                *entry = entry.with_code(fit.code(*value));
                *value -= levels[entry.code()];
            }
        }
    });
}
