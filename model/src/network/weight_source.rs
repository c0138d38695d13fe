//! Where the weights of a network live between the moments in which they are needed.
//!
//! The passes over a network need a block's weights twice in a step, for milliseconds. Between those moments they may
//! lie in pieces on several devices, which is the business of whoever implements [`WeightSource`]; the passes only say what
//! they need now and what they will need next.

use burn::tensor::Tensor;

/// A part of the network whose weights are needed at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The embedding table; a tied network needs it once more at the head.
    Embedding,
    /// A decoder block, from 0.
    Block(usize),
    /// The final norm, and the output projection unless it is tied to the embedding.
    Head,
}

impl Unit {
    /// Place of the unit in canonical order: embedding, blocks from first to last, head.
    pub fn index(self, num_layers: usize) -> usize {
        match self {
            Self::Embedding => 0,
            Self::Block(layer) => 1 + layer,
            Self::Head => 1 + num_layers,
        }
    }
}

/// Weights that live elsewhere, perhaps in pieces on several devices, and are brought together unit by unit.
///
/// - Lists have one entry per member, in the same order everywhere; each is one flat tensor per parameter of the unit,
///   in canonical order, on the member's device.
/// - A unit's weights stay the same from the first gather of a pass to its end.
pub trait WeightSource {
    /// Says that `unit` will be gathered next, so that its transfer can begin.
    fn prefetch(&mut self, unit: Unit);

    /// The whole weights of `unit` per member, in the dtype to compute in. They may be dropped when the unit is done.
    fn gather(&mut self, unit: Unit) -> Vec<Vec<Tensor<1>>>;

    /// fp32 sums of the same shapes, per member, which the backward pass adds to.
    ///
    /// They may hold what was reduced before, or zeros: only what [`WeightSource::reduce`] gets back counts. Handles that
    /// nobody shares are added to in place.
    fn gradients(&mut self, unit: Unit) -> Vec<Vec<Tensor<1>>>;

    /// Takes the sums of all members back: adds them up, keeps what each member owns.
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
