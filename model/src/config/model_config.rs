//! Sizes of a network, validated once when they enter the program.

use crate::error::ModelConfigError;

/// Largest value of a count: above that of any known model, and small enough for a product of two
/// to fit into 64 bits.
const MAX_COUNT: usize = 1 << 24;

/// Most decoder blocks. Work that is proportional to the layers, such as listing all parameters,
/// must stay cheap also for a config from an untrusted file.
const MAX_LAYERS: usize = 4096;

/// Shape of one Llama-family decoder.
///
/// - Each count is at least 1 and at most 2^24, so no product of two overflows; layers at most
///   4096.
/// - `num_heads` is a multiple of `num_kv_heads`; `head_dim` is even.
///
/// The fields are public for struct update syntax. [`ModelConfig::checked`] verifies the
/// invariants; the rest of the crate relies on them.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Number of token ids, which is the number of rows of the embedding.
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
    /// Width of one head; `num_heads * head_dim` may differ from `hidden_size`.
    pub head_dim: usize,
    /// Longest sequence, in tokens.
    pub max_positions: usize,
    /// Epsilon inside the square root of RMSNorm.
    pub norm_epsilon: f64,
    /// Rotary position embedding.
    pub rope: Rope,
    /// True if the embedding is also the output head.
    pub tied: bool,
}

/// Parameters of the rotary position embedding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// Base of the geometric sequence of frequencies.
    pub theta: f64,
    /// Llama 3 scaling of the low frequencies, if any.
    pub scaling: Option<Llama3Scaling>,
}

/// Llama 3 rope scaling, named as in the Hub's `config.json` (`rope_type: "llama3"`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3Scaling {
    /// Factor on long wavelengths.
    pub factor: f64,
    /// Wavelengths above `original_max_positions / low_freq_factor` are stretched by `factor`.
    pub low_freq_factor: f64,
    /// Wavelengths below `original_max_positions / high_freq_factor` stay unchanged.
    pub high_freq_factor: f64,
    /// Context length of pretraining, in tokens.
    pub original_max_positions: usize,
}

impl ModelConfig {
    /// Returns the config if it satisfies the invariants of the type.
    ///
    /// # Errors
    /// [`ModelConfigError`] with the first invalid field, its value, and the violated condition.
    pub fn checked(self) -> Result<Self, ModelConfigError> {
        self.check_counts()?;
        self.check_heads()?;
        for (field, value) in [("rms_norm_eps", self.norm_epsilon), ("rope_theta", self.rope.theta)]
        {
            // Written this way round because a NaN compares as false with everything.
            if !(value.is_finite() && value > 0.0) {
                return Err(ModelConfigError::new(field, value, "must be a positive number"));
            }
        }
        if let Some(scaling) = &self.rope.scaling {
            scaling.check()?;
        }
        Ok(self)
    }

    // Counts come first: the checks of heads divide by them.
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
                let rule = format!("must be at most {limit}");
                return Err(ModelConfigError::new(field, value, rule));
            }
        }
        Ok(())
    }

    fn check_heads(&self) -> Result<(), ModelConfigError> {
        // Grouped-query attention gives each key head the same number of query heads.
        if !self.num_heads.is_multiple_of(self.num_kv_heads) {
            let rule = format!("must divide num_attention_heads = {}", self.num_heads);
            return Err(ModelConfigError::new("num_key_value_heads", self.num_kv_heads, rule));
        }
        if !self.head_dim.is_multiple_of(2) {
            let rule = "must be even, rotary positions rotate pairs";
            return Err(ModelConfigError::new("head_dim", self.head_dim, rule));
        }
        Ok(())
    }

    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.num_heads * self.head_dim
    }

    /// Width of all key heads together, which is also that of all value heads.
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
            let field = "rope_scaling.low_freq_factor";
            return Err(ModelConfigError::new(field, low, "must be a positive number"));
        }
        // The interpolation divides by the difference of the two.
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
