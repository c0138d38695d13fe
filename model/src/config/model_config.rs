//! What a network looks like, checked once and trusted afterwards.

use crate::error::ModelConfigError;

/// Largest value of any count: larger than every model known, small enough that products of two never overflow.
const MAX_COUNT: usize = 1 << 24;

/// Most decoder blocks.
const MAX_LAYERS: usize = 4096;

/// Shape of one Llama-family decoder.
///
/// - Every count is at least 1 and at most 2^24, so that no product of two overflows; layers at most 4096.
/// - `num_heads` is a multiple of `num_kv_heads`; `head_dim` is even.
///
/// Built by [`ModelConfig::checked`], so whoever holds one may rely on it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Number of token ids; rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the SwiGLU feed-forward.
    pub intermediate_size: usize,
    /// Number of decoder blocks.
    pub num_layers: usize,
    /// Query heads per block.
    pub num_heads: usize,
    /// Key and value heads per block (grouped-query attention).
    pub num_kv_heads: usize,
    /// Width of one head; `num_heads * head_dim` need not equal `hidden_size`.
    pub head_dim: usize,
    /// Longest sequence, in tokens, that the positions are made for.
    pub max_positions: usize,
    /// Epsilon inside the square root of RMSNorm.
    pub norm_epsilon: f64,
    /// How positions turn queries and keys.
    pub rope: Rope,
    /// Whether the output head is the embedding itself.
    pub tied: bool,
}

/// Rotary position embedding: base frequency and optional stretching.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// Base of the geometric row of frequencies.
    pub theta: f64,
    /// Llama-3 stretching of the low frequencies, if any.
    pub scaling: Option<Llama3Scaling>,
}

/// Llama-3 rope scaling, named as in the Hub's `config.json` (`rope_type: "llama3"`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3Scaling {
    /// How far long wavelengths are stretched.
    pub factor: f64,
    /// Wavelengths above `original_max_positions / low_freq_factor` are stretched in full.
    pub low_freq_factor: f64,
    /// Wavelengths below `original_max_positions / high_freq_factor` are left alone.
    pub high_freq_factor: f64,
    /// Context length before stretching, in tokens.
    pub original_max_positions: usize,
}

impl ModelConfig {
    /// Checks the invariants of the type and hands the config back.
    ///
    /// # Errors
    /// [`ModelConfigError`] names the first field that breaks one, its value, and what it must be.
    pub fn checked(self) -> Result<Self, ModelConfigError> {
        self.check_counts()?;
        if !self.num_heads.is_multiple_of(self.num_kv_heads) {
            return Err(ModelConfigError::new(
                "num_key_value_heads",
                self.num_kv_heads,
                format!("must divide num_attention_heads = {}", self.num_heads),
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(ModelConfigError::new(
                "head_dim",
                self.head_dim,
                "must be even, rotary positions turn pairs",
            ));
        }
        for (field, value) in [("rms_norm_eps", self.norm_epsilon), ("rope_theta", self.rope.theta)]
        {
            if !(value.is_finite() && value > 0.0) {
                return Err(ModelConfigError::new(field, value, "must be a positive number"));
            }
        }
        if let Some(scaling) = &self.rope.scaling {
            scaling.check()?;
        }
        Ok(self)
    }

    fn check_counts(&self) -> Result<(), ModelConfigError> {
        let counts = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_layers),
            ("num_attention_heads", self.num_heads),
            ("num_key_value_heads", self.num_kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_positions),
        ];
        for (field, value) in counts {
            if value == 0 {
                return Err(ModelConfigError::new(field, value, "must be at least 1"));
            }
            let limit = if field == "num_hidden_layers" { MAX_LAYERS } else { MAX_COUNT };
            if value > limit {
                return Err(ModelConfigError::new(
                    field,
                    value,
                    format!("must be at most {limit}"),
                ));
            }
        }
        Ok(())
    }

    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.num_heads * self.head_dim
    }

    /// Width of all key heads together, and of all value heads together.
    pub fn kv_width(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }
}

impl Llama3Scaling {
    fn check(&self) -> Result<(), ModelConfigError> {
        let Self { factor, low_freq_factor: low, high_freq_factor: high, original_max_positions } =
            *self;
        if !(factor.is_finite() && factor >= 1.0) {
            return Err(ModelConfigError::new("rope_scaling.factor", factor, "must be at least 1"));
        }
        if !(low.is_finite() && low > 0.0) {
            return Err(ModelConfigError::new(
                "rope_scaling.low_freq_factor",
                low,
                "must be a positive number",
            ));
        }
        if !(high.is_finite() && high > low) {
            let rule = format!("must be above low_freq_factor = {low}");
            return Err(ModelConfigError::new("rope_scaling.high_freq_factor", high, rule));
        }
        if original_max_positions == 0 {
            let field = "rope_scaling.original_max_position_embeddings";
            return Err(ModelConfigError::new(field, original_max_positions, "must be at least 1"));
        }
        Ok(())
    }
}
