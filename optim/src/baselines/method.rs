//! A round of many peers, whatever they exchange.

use crate::sparseloco::chunks::INPUT_LIMIT;
use crate::sparseloco::{Aggregate, Schema, SparseLocoError, outer_step};

/// What peers exchange once a round, and what everybody makes of it.
///
/// All peers of a round are in one place, so that methods can be compared on the very same steps; what a peer keeps for
/// itself from round to round (error feedback, momentum) is inside.
///
/// - Same inputs, same bits, for any number of threads.
/// - After an error about inputs nothing has changed.
pub trait OuterMethod: Send {
    /// What a table calls it.
    fn name(&self) -> &str;

    /// Moves the weights, shared by all at the start of a round, and returns the bytes that each peer sent: the mean,
    /// rounded up.
    ///
    /// `pseudo_gradients` holds start minus end of the inner steps, per peer and tensor; tensors are in the order of a
    /// [`Schema`] here and in `weights`.
    ///
    /// # Errors
    ///
    /// Another number of peers or tensors of another form than before, numbers that are not finite or beyond 1e25, or
    /// weights that would not be finite afterwards.
    fn round(
        &mut self,
        pseudo_gradients: &[Vec<Vec<f32>>],
        weights: &mut [Vec<f32>],
        outer_learning_rate: f64,
    ) -> Result<u64, SparseLocoError>;
}

/// Refuses what no method can average, before anything changes.
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

/// Holds the peers of a round against those that a method keeps state for.
pub(super) fn check_peers(expected: usize, got: usize) -> Result<(), SparseLocoError> {
    if expected == got { Ok(()) } else { Err(SparseLocoError::PeerCount { expected, got }) }
}

/// The outer step; a tensor that it would have to skip is an error here.
pub(super) fn descend(
    schema: &Schema,
    weights: &mut [Vec<f32>],
    tensors: Vec<Vec<f32>>,
    rate: f64,
) -> Result<(), SparseLocoError> {
    let mut slices: Vec<&mut [f32]> = weights.iter_mut().map(Vec::as_mut_slice).collect();
    match outer_step(schema, &mut slices, &Aggregate { tensors }, rate)?.first() {
        None => Ok(()),
        Some(name) => Err(SparseLocoError::NonFinite { what: "weight", name: (*name).to_owned() }),
    }
}
