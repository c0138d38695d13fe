//! The compression of a pseudo-gradient into a delta. Error feedback keeps the rest for later
//! rounds.

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;

use super::chunks::INPUT_LIMIT;
use super::config::TASK_LEN;
use super::delta::{CodedValue, Delta};
use super::error::SparseLocoError;
use super::quantizer::{Fit, LEVEL_LIMIT};
use super::schema::{Schema, TensorSpec};
use super::top_k::{CpuTopK, Share, check_shares, select};

/// The compressor of one peer, with its error feedback.
///
/// Per tensor and round, with pseudo-gradient `d` and error feedback `e`: `a = decay * e + d`; the
/// delta is the quantized values of largest magnitude of each chunk of `a`; then `e = a - delta`.
/// The delta is subtracted as others decode it, so `e` also contains the rounding errors of the
/// quantizer (SparseLoCo, Algorithm 1).
///
/// If the schema has a transform, `d` is transformed first and `e` is stored in frequencies. The
/// transform is linear and orthonormal, so this is the error feedback of elements without a round
/// trip.
///
/// - The state never contains NaN or infinity.
/// - The same inputs give the same bits for any number of threads.
#[derive(Clone, Debug)]
pub struct Compressor {
    schema: Arc<Schema>,
    decay: f32,
    errors: Vec<Vec<f32>>,
}

impl Compressor {
    /// Creates a compressor without error feedback.
    pub fn new(schema: Arc<Schema>, decay: f32) -> Self {
        let errors = schema.tensors().iter().map(|spec| vec![0.0; spec.grid().len()]).collect();
        Self { schema, decay, errors }
    }

    /// The schema of every delta.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The error feedback of each tensor in the order of the schema: the complete state, for
    /// checkpoints. It is in frequencies if the schema has a transform.
    pub fn errors(&self) -> &[Vec<f32>] {
        &self.errors
    }

    /// Restores the error feedback of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`SparseLocoError`] if the number of tensors or a length differs, or a value is not finite;
    /// the state is unchanged in that case.
    pub fn restore(&mut self, errors: Vec<Vec<f32>>) -> Result<(), SparseLocoError> {
        let what = "error feedback";
        self.schema.check_lengths(what, errors.iter().map(Vec::len))?;
        self.schema.check_range(what, LEVEL_LIMIT, errors.iter().map(Vec::as_slice))?;
        self.errors = errors;
        Ok(())
    }

    /// Sets the error feedback to zero, as the published program does after a void round.
    pub fn reset(&mut self) {
        self.errors.par_iter_mut().for_each(|error| error.fill(0.0));
    }

    /// Compresses a pseudo-gradient: weights at the start minus weights after the inner steps, per
    /// tensor in the order of the schema.
    ///
    /// # Errors
    ///
    /// [`SparseLocoError`] if tensors have another form, or a value is not finite or beyond 1e25;
    /// the state is unchanged in that case.
    pub fn compress(&mut self, pseudo_gradient: &[&[f32]]) -> Result<Delta, SparseLocoError> {
        let tensors = self.schema.tensors().iter();
        let shares: Vec<Vec<Share<'_>>> = tensors
            .map(|spec| vec![Share { slabs: 0..spec.num_slabs(), select: &CpuTopK }])
            .collect();
        self.compress_on(pseudo_gradient, &shares)
    }

    /// As [`Compressor::compress`], with the slabs of each tensor shared among selectors, such as
    /// GPUs. The delta does not depend on the shares.
    ///
    /// # Errors
    ///
    /// As [`Compressor::compress`], and [`SparseLocoError::Shares`] if shares do not cover the
    /// slabs of a tensor once and in order.
    pub fn compress_on(
        &mut self,
        pseudo_gradient: &[&[f32]],
        shares: &[Vec<Share<'_>>],
    ) -> Result<Delta, SparseLocoError> {
        let what = "pseudo-gradient";
        self.schema.check_lengths(what, pseudo_gradient.iter().map(|tensor| tensor.len()))?;
        // All checks precede the first change of the error feedback, so a rejected round can be
        // repeated.
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
                // The quantizer needs all values of the tensor, so selection ends before any value
                // is quantized.
                let fit = Fit::new(profile, &values);
                quantize(spec, &fit, error, entries);
                fit.levels()
            },
        );
        let levels = levels.collect();
        Ok(Delta::trusted(Arc::clone(&self.schema), entries, levels))
    }

    /// Adds a delta that was not included to the error feedback, so its values are sent again.
    ///
    /// # Errors
    ///
    /// [`SparseLocoError::OtherSchema`] if the delta has another schema.
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

    /// Corrects the error feedback if the delta `published` is applied instead of `made`: adds
    /// `made - published`.
    ///
    /// A peer needs this if it restarts from an older state after it has published, and makes
    /// another delta for the same round. The published delta is binding.
    ///
    /// # Errors
    ///
    /// [`SparseLocoError::OtherSchema`] if a delta has another schema.
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

/// Splits all entries into one mutable slice per tensor.
fn split_by_tensor<'a>(
    schema: &Schema,
    mut entries: &'a mut [CodedValue],
) -> Vec<&'a mut [CodedValue]> {
    let parts = schema.tensors().iter().map(|spec| {
        let (part, rest) = std::mem::take(&mut entries).split_at_mut(spec.entries().len());
        entries = rest;
        part
    });
    parts.collect()
}

/// A tensor of the pseudo-gradient in elements or frequencies, whichever the schema sends.
fn in_the_form_sent<'a>(spec: &TensorSpec, gradient: &'a [f32]) -> Cow<'a, [f32]> {
    let Some(transform) = spec.transform() else { return Cow::Borrowed(gradient) };
    let mut frequencies = gradient.to_vec();
    transform.forward(&mut frequencies);
    Cow::Owned(frequencies)
}

/// Sets the code of every entry and subtracts its level from the error feedback.
fn quantize(spec: &TensorSpec, fit: &Fit, error: &mut [f32], entries: &mut [CodedValue]) {
    let (slab_len, levels) = (spec.grid().slab_len(), fit.levels());
    let slabs = error.par_chunks_mut(slab_len).zip(entries.par_chunks_mut(spec.entries_per_slab()));
    slabs.with_min_len(TASK_LEN.div_ceil(slab_len)).for_each(|(error, entries)| {
        // Slabs are contiguous and disjoint, so threads need no lock.
        for (column, entries) in entries.chunks_mut(spec.kept()).enumerate() {
            for entry in entries {
                let value = &mut error[spec.grid().index_in_slab(column, entry.position())];
                *entry = entry.with_code(fit.code(*value));
                *value -= levels[entry.code()];
            }
        }
    });
}
