//! Presets: network shapes with a name.

use super::model_config::{ModelConfig, Rope};

/// All presets, from small to large.
///
/// The counts are those of [`ModelConfig::num_parameters`]; `tests/presets.rs` checks each.
///
/// | name | parameters | from |
/// |---|---:|---|
/// | `tiny` | 1,262,720 | for demos and tests: learns English on a laptop in minutes |
/// | `150m` | 214,983,680 | Templar's small runs; 149 million without embedding and head |
/// | `500m` | 512,398,848 | as above |
/// | `1b` | 1,204,881,408 | as above |
/// | `8b` | 8,030,261,248 | Llama 3.1 8B |
/// | `covenant-72b` | 72,747,327,488 | Covenant-72B |
const PRESETS: [Preset; 6] = [
    ("tiny", tiny),
    ("150m", || with_llama_2_vocabulary(1024, 12, 16, 2688)),
    ("500m", || with_llama_2_vocabulary(1536, 12, 12, 5440)),
    ("1b", || with_llama_2_vocabulary(2048, 16, 8, 8192)),
    ("8b", eight_billion),
    ("covenant-72b", covenant_72b),
];

/// A name, and a function that builds the network of this name.
type Preset = (&'static str, fn() -> ModelConfig);

/// The network of this name; `None` if there is no such preset.
pub fn preset(name: &str) -> Option<ModelConfig> {
    PRESETS.iter().find(|(known, _)| *known == name).map(|(_, build)| build())
}

/// Names of all presets, from small to large.
pub fn preset_names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

fn tiny() -> ModelConfig {
    ModelConfig {
        // With a larger vocabulary, most of a model of this width would be its embedding.
        vocab_size: 4096,
        hidden_size: 128,
        intermediate_size: 352,
        num_layers: 4,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 32,
        max_positions: 256,
        norm_epsilon: 1e-5,
        rope: rope(10_000.0),
        // A separate head would add 42 % to the parameters.
        tied: true,
    }
}

/// A small size: Llama 2's tokenizer, 2048 positions, as many key heads as query heads.
fn with_llama_2_vocabulary(
    hidden: usize,
    num_layers: usize,
    num_heads: usize,
    intermediate: usize,
) -> ModelConfig {
    ModelConfig {
        vocab_size: 32_000,
        hidden_size: hidden,
        intermediate_size: intermediate,
        num_layers,
        num_heads,
        num_kv_heads: num_heads,
        head_dim: hidden / num_heads,
        max_positions: 2048,
        norm_epsilon: 1e-5,
        // The original runs do not state theta; this is Llama 2's value.
        rope: rope(10_000.0),
        tied: false,
    }
}

fn eight_billion() -> ModelConfig {
    // With the positions of pretraining: Llama 3.1 stretches them to 131,072 only afterwards.
    ModelConfig {
        vocab_size: 128_256,
        hidden_size: 4096,
        intermediate_size: 14_336,
        num_layers: 32,
        num_heads: 32,
        num_kv_heads: 8,
        head_dim: 128,
        max_positions: 8192,
        norm_epsilon: 1e-5,
        rope: rope(500_000.0),
        tied: false,
    }
}

fn covenant_72b() -> ModelConfig {
    ModelConfig {
        vocab_size: 262_144,
        hidden_size: 8192,
        intermediate_size: 28_672,
        num_layers: 80,
        num_heads: 64,
        num_kv_heads: 8,
        head_dim: 128,
        max_positions: 2048,
        norm_epsilon: 1e-5,
        rope: rope(500_000.0),
        // The paper states tied embeddings, which would give 70,599,843,840 parameters. Its own
        // count of 72,747,327,488 is that of an untied head.
        tied: false,
    }
}

fn rope(theta: f64) -> Rope {
    Rope { theta, scaling: None }
}
