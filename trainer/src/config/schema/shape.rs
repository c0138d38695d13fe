//! The shape of the network, with the field names of the Hub's `config.json`.

use covey_model::config::{Llama3Scaling, ModelConfig, Rope};
use covey_model::error::ModelConfigError;
use serde::{Deserialize, Serialize};

/// The fields of the Hub's `config.json` that define the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkShape {
    /// Rows of the embedding; `None` for the vocabulary size of the data.
    pub vocab_size: Option<usize>,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Decoder blocks.
    pub num_hidden_layers: usize,
    /// Query heads per block.
    pub num_attention_heads: usize,
    /// Key and value heads per block; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Longest sequence that the positions allow, in tokens.
    pub max_position_embeddings: usize,
    /// Epsilon inside the square root of RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Llama-3 scaling of the rotary frequencies, if any.
    pub rope_scaling: Option<RopeScaling>,
    /// Use the embedding as the output head.
    pub tie_word_embeddings: bool,
}

/// Llama-3 scaling of the rotary frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RopeScaling {
    /// Factor by which long wavelengths are stretched.
    pub factor: f64,
    /// Wavelengths above the original length divided by this are stretched in full.
    pub low_freq_factor: f64,
    /// Wavelengths below the original length divided by this are not stretched.
    pub high_freq_factor: f64,
    /// Context length before scaling, in tokens.
    pub original_max_position_embeddings: usize,
}

impl NetworkShape {
    /// The network for data with `vocab_size` token ids.
    ///
    /// `vocab_size` of the config takes precedence over that of the data.
    ///
    /// # Errors
    /// [`ModelConfigError`] if the vocabulary is empty; the other fields passed the checks of the
    /// config.
    pub fn model_config(&self, vocab_size: usize) -> Result<ModelConfig, ModelConfigError> {
        ModelConfig {
            // A vocabulary above that of the data leaves room for tokens of later training.
            vocab_size: self.vocab_size.unwrap_or(vocab_size),
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_layers: self.num_hidden_layers,
            num_heads: self.num_attention_heads,
            num_kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
            // The Hub's names are kept in the config, so users can copy a `config.json`.
            max_positions: self.max_position_embeddings,
            norm_epsilon: self.rms_norm_eps,
            rope: Rope {
                theta: self.rope_theta,
                scaling: self.rope_scaling.map(Llama3Scaling::from),
            },
            tied: self.tie_word_embeddings,
        }
        .checked()
    }
}

impl From<&ModelConfig> for NetworkShape {
    fn from(model: &ModelConfig) -> Self {
        Self {
            vocab_size: Some(model.vocab_size),
            hidden_size: model.hidden_size,
            intermediate_size: model.intermediate_size,
            num_hidden_layers: model.num_layers,
            num_attention_heads: model.num_heads,
            num_key_value_heads: model.num_kv_heads,
            head_dim: model.head_dim,
            max_position_embeddings: model.max_positions,
            rms_norm_eps: model.norm_epsilon,
            rope_theta: model.rope.theta,
            rope_scaling: model.rope.scaling.map(RopeScaling::from),
            tie_word_embeddings: model.tied,
        }
    }
}

impl From<RopeScaling> for Llama3Scaling {
    fn from(scaling: RopeScaling) -> Self {
        Self {
            factor: scaling.factor,
            low_freq_factor: scaling.low_freq_factor,
            high_freq_factor: scaling.high_freq_factor,
            original_max_positions: scaling.original_max_position_embeddings,
        }
    }
}

impl From<Llama3Scaling> for RopeScaling {
    fn from(scaling: Llama3Scaling) -> Self {
        Self {
            factor: scaling.factor,
            low_freq_factor: scaling.low_freq_factor,
            high_freq_factor: scaling.high_freq_factor,
            original_max_position_embeddings: scaling.original_max_positions,
        }
    }
}
