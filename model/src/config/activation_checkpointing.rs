//! Activations that are computed a second time instead of being kept.

/// Which blocks compute their wide activations again in the backward pass, to save memory.
///
/// Such a block keeps its input, the residual at its middle, and attention's output with its log-sum-exp. Computed
/// again are the norms and the projections to queries, keys, values, gate and up: between an eighth (`tiny`) and a
/// fifth (`covenant-72b`) of a step's work, for seven tenths of what blocks keep. The attention itself, whose cost grows
/// with the square of the length, and the projections back to the residual are never run twice. On the CPU, what is
/// computed twice has the same bits twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActivationCheckpointing {
    /// Everything is kept.
    #[default]
    None,
    /// Of every so many blocks the first is computed again: 1 for all of them, 2 for every second. 0 counts as 1.
    Every(usize),
}

impl ActivationCheckpointing {
    /// Whether block `layer` is computed again.
    pub fn includes(self, layer: usize) -> bool {
        match self {
            Self::None => false,
            Self::Every(blocks) => layer.is_multiple_of(blocks.max(1)),
        }
    }

    /// How many of `num_layers` blocks are computed again.
    pub fn count(self, num_layers: usize) -> usize {
        (0..num_layers).filter(|layer| self.includes(*layer)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_block_is_half_of_them_rounded_up() {
        let counts = [
            ActivationCheckpointing::None,
            ActivationCheckpointing::Every(1),
            ActivationCheckpointing::Every(2),
            ActivationCheckpointing::Every(3),
        ]
        .map(|r| r.count(5));
        assert_eq!(counts, [0, 5, 3, 2]);
    }
}
