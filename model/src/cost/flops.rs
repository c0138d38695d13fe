//! Floating-point operations per token.

use crate::config::ModelConfig;

/// Floating-point operations per trained token. A multiplication with its addition counts as two.
///
/// With `M` weights in matrices that multiply each token (the head included, the lookup in the
/// embedding excluded), `L` layers, query width `Q` and sequence length `S`:
///
/// - `forward` = `2 M` + attention, attention = `4 L Q (S + 1) / 2`: scores and weighted sum of
///   values over `(S + 1) / 2` keys, the average number that causal attention sees;
/// - `backward` = `2 forward`, as each product has two gradients.
///
/// Recomputed activations are not counted. This is the convention of model FLOPs utilization (PaLM,
/// arXiv 2204.02311, appendix B).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlopsPerToken {
    /// Forward pass.
    pub forward: f64,
    /// Backward pass.
    pub backward: f64,
    /// Share of attention in both, which depends on the sequence length.
    pub attention: f64,
    /// Rule of thumb: six per parameter at any sequence length (Kaplan et al., arXiv 2001.08361).
    pub six_per_parameter: f64,
}

impl FlopsPerToken {
    /// Cost of one token in sequences of `sequence` tokens.
    pub fn new(config: &ModelConfig, sequence: usize) -> Self {
        let seen = (sequence as f64 + 1.0) / 2.0;
        let attention = 4.0 * config.num_layers as f64 * config.query_width() as f64 * seen;
        let forward = 2.0 * multiplied_weights(config) as f64 + attention;
        Self {
            forward,
            backward: 2.0 * forward,
            // Once forward, twice backward.
            attention: 3.0 * attention,
            six_per_parameter: 6.0 * config.num_parameters() as f64,
        }
    }

    /// Operations of forward and backward pass together.
    pub fn total(&self) -> f64 {
        self.forward + self.backward
    }
}

/// Weights in matrices that multiply each token. A tied embedding counts once, as the head.
fn multiplied_weights(config: &ModelConfig) -> u64 {
    let projections =
        2 * config.query_width() + 2 * config.kv_width() + 3 * config.intermediate_size;
    (config.hidden_size * (projections * config.num_layers + config.vocab_size)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;

    fn small() -> ModelConfig {
        ModelConfig {
            vocab_size: 100,
            hidden_size: 8,
            intermediate_size: 20,
            num_layers: 3,
            num_heads: 4,
            num_kv_heads: 2,
            head_dim: 2,
            tied: false,
            ..preset("tiny").unwrap()
        }
    }

    #[test]
    fn flops_match_a_manual_count() {
        // Per block: 8x8 twice, 8x4 twice, 8x20 three times; head 8x100.
        let weights = f64::from(3 * (2 * 64 + 2 * 32 + 3 * 160) + 800);
        // 15 causal pairs among 5 tokens; scores and weighted sum with 2 operations each; width 8;
        // 3 blocks.
        let attention = f64::from(15 * 2 * 2 * 8 * 3) / 5.0;
        let flops = FlopsPerToken::new(&small(), 5);
        assert_eq!(flops.forward, 2.0 * weights + attention);
        assert_eq!(flops.total(), 3.0 * flops.forward);
        assert_eq!(flops.attention, 3.0 * attention);
    }

    #[test]
    fn six_per_parameter_is_within_3_percent_for_72_billion_parameters() {
        let flops = FlopsPerToken::new(&preset("covenant-72b").unwrap(), 2048);
        assert!((flops.total() / flops.six_per_parameter - 1.0).abs() < 0.03);
    }

    #[test]
    fn tying_changes_only_the_count_per_parameter() {
        let tied = ModelConfig { tied: true, ..small() };
        assert_eq!(
            FlopsPerToken::new(&tied, 5),
            FlopsPerToken {
                six_per_parameter: 6.0 * tied.num_parameters() as f64,
                ..FlopsPerToken::new(&small(), 5)
            }
        );
    }
}
