//! The source of a network's weights, unit by unit.
//!
//! A step needs the weights of a block twice, for milliseconds each time. In between they may be
//! sharded over devices. That is the business of an implementation of [`WeightSource`];
//! [`ForwardBackward`](super::ForwardBackward) only requests a unit and announces the next one.

use burn::tensor::Tensor;

/// A part of the network that is gathered at once (FSDP unit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The embedding. A tied network gathers it a second time at the head.
    Embedding,
    /// A decoder block, from 0.
    Block(usize),
    /// The final norm, and the output projection unless it is tied to the embedding.
    Head,
}

impl Unit {
    /// Index of the unit in canonical order: embedding, blocks from first to last, head.
    pub fn index(self, num_layers: usize) -> usize {
        match self {
            Self::Embedding => 0,
            Self::Block(layer) => 1 + layer,
            Self::Head => 1 + num_layers,
        }
    }
}

/// Weights and gradients for a group of devices, whole or sharded (FSDP, arXiv 2304.11277).
///
/// - Lists have one entry per member of the group, always in the same order. An entry has one flat
///   tensor per parameter of the unit, in canonical order, on the device of the member.
/// - The weights of a unit stay the same from the first gather of a pass to its end.
/// - Each [`WeightSource::reduce`] returns the tensors of one call of [`WeightSource::gradients`].
///   A tied embedding has two such pairs of calls in a pass: at the head and at the end.
pub trait WeightSource {
    /// Announces that `unit` will be gathered next. Its transfer can overlap with computation.
    fn prefetch(&mut self, unit: Unit);

    /// All-gather: the whole weights of `unit` for each member, in the dtype to compute in.
    ///
    /// The caller drops them when the unit is done.
    fn gather(&mut self, unit: Unit) -> Vec<Vec<Tensor<1>>>;

    /// fp32 sums in the shapes of `unit` for each member, to which the backward pass adds.
    ///
    /// They may hold the result of an earlier reduction, or zeros; the implementation accounts for
    /// its choice in [`WeightSource::reduce`]. Tensors without another handle are changed in place.
    fn gradients(&mut self, unit: Unit) -> Vec<Vec<Tensor<1>>>;

    /// Reduce-scatter: adds up the sums of all members, and keeps the shard of each.
    fn reduce(&mut self, unit: Unit, gradients: Vec<Vec<Tensor<1>>>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_numbered_in_canonical_order() {
        let units = [Unit::Embedding, Unit::Block(0), Unit::Block(1), Unit::Block(2), Unit::Head];
        assert_eq!(units.map(|unit| unit.index(3)), [0, 1, 2, 3, 4]);
    }
}
