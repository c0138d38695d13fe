//! Activation checkpointing: activations that are recomputed in the backward pass to save memory.

/// The blocks that recompute their wide activations in the backward pass.
///
/// A recomputed block keeps its input, the residual in its middle, and the output of attention with
/// its log-sum-exp. It recomputes the norms and the projections to queries, keys, values, gate and
/// up. That adds between an eighth (`tiny`) and a fifth (`covenant-72b`) of the work of a step and
/// saves seven tenths of the activations of the block.
///
/// Attention itself, with its cost quadratic in the length, and the projections back to the
/// residual run only once. On the CPU, recomputed activations are equal to the bit.
///
/// Korthikanti et al. (arXiv 2205.05198) call the choice of single activations selective
/// recomputation. They recompute attention; its scores are never kept here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActivationCheckpointing {
    /// All blocks keep all activations.
    #[default]
    None,
    /// One block of each group of this size is recomputed: 1 for all blocks, 2 for half of them. 0
    /// means 1.
    Every(usize),
}

impl ActivationCheckpointing {
    /// Returns true if block `layer` is recomputed.
    pub fn includes(self, layer: usize) -> bool {
        match self {
            Self::None => false,
            // No layer but 0 is a multiple of 0, so a 0 would recompute a single block.
            Self::Every(blocks) => layer.is_multiple_of(blocks.max(1)),
        }
    }

    /// Number of recomputed blocks among the first `num_layers`.
    pub fn count(self, num_layers: usize) -> usize {
        (0..num_layers).filter(|layer| self.includes(*layer)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_recomputed_blocks_is_rounded_up() {
        let counts = [
            ActivationCheckpointing::None,
            ActivationCheckpointing::Every(1),
            ActivationCheckpointing::Every(2),
            ActivationCheckpointing::Every(3),
        ]
        .map(|checkpointing| checkpointing.count(5));
        assert_eq!(counts, [0, 5, 3, 2]);
    }
}
