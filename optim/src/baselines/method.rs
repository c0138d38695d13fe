//! The interface of a method that combines the pseudo-gradients of many peers.

use crate::sparseloco::chunks::INPUT_LIMIT;
use crate::sparseloco::{Aggregate, Schema, SparseLocoError, outer_step};

/// One round of a method: what peers exchange, and the update that follows from it.
///
/// All peers of a round are in one place, so methods can be compared on the same pseudo-gradients.
/// An implementation holds the state that each peer keeps between rounds, such as error feedback or
/// momentum.
///
/// - The same inputs give the same bits for any number of threads.
/// - After an error about inputs nothing has changed.
pub trait OuterMethod: Send {
    /// The name in tables.
    fn name(&self) -> &str;

    /// Updates the weights, which all peers share at the start of a round. Returns the mean number
    /// of bytes per peer that were sent, rounded up.
    ///
    /// `pseudo_gradients` contains weights at the start minus weights after the inner steps, per
    /// peer and tensor. Tensors are in the order of a [`Schema`], as in `weights`.
    ///
    /// # Errors
    ///
    /// [`SparseLocoError`] if the number of peers or the form of a tensor differs, a value is not
    /// finite or beyond 1e25, or weights would not be finite afterwards.
    fn round(
        &mut self,
        pseudo_gradients: &[Vec<Vec<f32>>],
        weights: &mut [Vec<f32>],
        outer_learning_rate: f64,
    ) -> Result<u64, SparseLocoError>;
}

/// Returns an error for inputs that no method can average, before anything changes.
pub(super) fn check_round(
    schema: &Schema,
    pseudo_gradients: &[Vec<Vec<f32>>],
    weights: &[Vec<f32>],
) -> Result<(), SparseLocoError> {
    schema.check_lengths("weight", weights.iter().map(Vec::len))?;
    if pseudo_gradients.is_empty() {
        return Err(SparseLocoError::NoDeltas);
    }
    pseudo_gradients.iter().try_for_each(|tensors| {
        let what = "pseudo-gradient";
        schema.check_lengths(what, tensors.iter().map(Vec::len))?;
        schema.check_range(what, INPUT_LIMIT, tensors.iter().map(Vec::as_slice))
    })
}

/// Compares the number of peers with that for which a method keeps state.
pub(super) fn check_peers(expected: usize, got: usize) -> Result<(), SparseLocoError> {
    if expected == got { Ok(()) } else { Err(SparseLocoError::PeerCount { expected, got }) }
}

/// Applies the outer step. A tensor that would not be finite is an error here.
pub(super) fn descend(
    schema: &Schema,
    weights: &mut [Vec<f32>],
    tensors: Vec<Vec<f32>>,
    rate: f64,
) -> Result<(), SparseLocoError> {
    let mut slices: Vec<&mut [f32]> = weights.iter_mut().map(Vec::as_mut_slice).collect();
    // A skipped tensor would make a comparison meaningless, so it is not tolerated as in a run.
    match outer_step(schema, &mut slices, &Aggregate { tensors }, rate)?.first() {
        None => Ok(()),
        Some(name) => Err(SparseLocoError::NonFinite { what: "weight", name: (*name).to_owned() }),
    }
}
