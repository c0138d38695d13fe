//! `config.json`, the Hub's description of a network, and `generation_config.json`.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::dtype::FloatDtype;
use super::rope_json::{RopeFields, unsupported};
use crate::config::{ModelConfig, Rope};
use crate::error::HubError;

/// Token ids at the beginning and the end of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenIds {
    /// Beginning of a text.
    pub bos: Option<u32>,
    /// Alternatives for its end.
    pub eos: Vec<u32>,
}

/// Content of a `config.json`: a supported network, its special tokens, and the dtype of its
/// weights.
#[derive(Clone, Debug, PartialEq)]
pub struct HubConfig {
    /// The network. If the file has no `tie_word_embeddings`, `tied` is false here, and
    /// [`HubFolder`](super::import::HubFolder) sets it by the presence of a head.
    pub model: ModelConfig,
    /// Beginning and end of a text.
    pub token_ids: TokenIds,
    /// Dtype of the weights; `None` if missing or not a float dtype of this crate.
    pub format: Option<FloatDtype>,
    /// True if the file has `tie_word_embeddings`.
    pub tying_is_stated: bool,
}

impl HubConfig {
    /// Parses the text of a `config.json`; `path` appears in errors.
    ///
    /// # Errors
    /// [`HubError::Json`] for invalid JSON, missing fields and wrong types,
    /// [`HubError::Unsupported`] for networks that this crate does not implement,
    /// [`HubError::Config`] for sizes that violate the invariants of [`ModelConfig`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, HubError> {
        let json: LlamaConfigJson = serde_json::from_str(text).map_err(HubError::json(path))?;
        // First: the sizes of another family would be reported as invalid instead of unsupported.
        json.check_supported(path)?;
        let rope = json.rope.parse(path)?;
        let model = json.model(rope).checked();
        Ok(Self {
            model: model.map_err(|source| HubError::Config { path: path.to_owned(), source })?,
            // Before 2025 the field was called `torch_dtype`.
            format: json
                .dtype
                .as_deref()
                .or(json.torch_dtype.as_deref())
                .and_then(FloatDtype::from_torch_name),
            tying_is_stated: json.tie_word_embeddings.is_some(),
            token_ids: TokenIds {
                bos: json.bos_token_id,
                eos: json.eos_token_id.map(Ids::into_vec).unwrap_or_default(),
            },
        })
    }

    /// The text of a `config.json` that old and new versions of `transformers` read.
    pub fn to_json(&self) -> String {
        // Dtype and positions appear twice, under their names before and since 2025.
        let model = &self.model;
        let format = self.format.unwrap_or(FloatDtype::Fp32).torch_name();
        let mut fields = vec![
            ("architectures", json!(["LlamaForCausalLM"])),
            ("attention_bias", json!(false)),
            ("attention_dropout", json!(0.0)),
            ("bos_token_id", json!(self.token_ids.bos)),
            ("dtype", json!(format)),
            ("eos_token_id", self.token_ids.eos_json()),
            ("head_dim", json!(model.head_dim)),
            ("hidden_act", json!("silu")),
            ("hidden_size", json!(model.hidden_size)),
            // Not used for trained weights, but `transformers` writes it.
            ("initializer_range", json!(0.02)),
            ("intermediate_size", json!(model.intermediate_size)),
            ("max_position_embeddings", json!(model.max_positions)),
            ("mlp_bias", json!(false)),
            ("model_type", json!("llama")),
            ("num_attention_heads", json!(model.num_heads)),
            ("num_hidden_layers", json!(model.num_layers)),
            ("num_key_value_heads", json!(model.num_kv_heads)),
            ("pretraining_tp", json!(1)),
            ("rms_norm_eps", json!(model.norm_epsilon)),
        ];
        fields.extend(RopeFields::write(&model.rope));
        fields.extend([
            ("tie_word_embeddings", json!(model.tied)),
            ("torch_dtype", json!(format)),
            ("use_cache", json!(true)),
            ("vocab_size", json!(model.vocab_size)),
        ]);
        to_text(fields)
    }
}

impl TokenIds {
    /// The text of a `generation_config.json`, which text generation with `transformers` reads.
    pub fn to_json(&self) -> String {
        let mut fields = vec![("_from_model_config", json!(true))];
        fields.extend(self.bos.map(|bos| ("bos_token_id", json!(bos))));
        fields.extend((!self.eos.is_empty()).then(|| ("eos_token_id", self.eos_json())));
        to_text(fields)
    }

    fn eos_json(&self) -> Value {
        match self.eos.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            several => json!(several),
        }
    }
}

fn to_text(fields: Vec<(&str, Value)>) -> String {
    let fields: Map<String, Value> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    format!("{:#}\n", Value::Object(fields))
}

/// `config.json` as written. A missing field has the default of `LlamaConfig` in `transformers`.
#[derive(Debug, Deserialize)]
struct LlamaConfigJson {
    model_type: Option<String>,
    architectures: Option<Vec<String>>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    quantization_config: Option<Value>,
    tie_word_embeddings: Option<bool>,
    dtype: Option<String>,
    torch_dtype: Option<String>,
    bos_token_id: Option<u32>,
    eos_token_id: Option<Ids>,
    #[serde(flatten)]
    rope: RopeFields,
}

/// One id, or a list of ids: Llama 3.1 Instruct has three ends of text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Several(Vec<u32>),
}

impl Ids {
    fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Several(ids) => ids,
        }
    }
}

impl LlamaConfigJson {
    /// Reports the first property that would make the network compute something else.
    fn check_supported(&self, path: &Path) -> Result<(), HubError> {
        let family = self.model_type.as_deref().unwrap_or("null");
        let architectures = self.architectures.as_deref().unwrap_or_default();
        let activation = self.hidden_act.as_deref().unwrap_or("silu");
        let llama = "use a Llama model (`model_type` `llama`, `LlamaForCausalLM`)";
        let bias = "use a model without biases";
        let is_llama =
            architectures.is_empty() || architectures.iter().any(|name| name == "LlamaForCausalLM");
        let rules = [
            (family == "llama", "model_type", family.to_owned(), llama),
            (is_llama, "architectures", architectures.join(", "), llama),
            (activation == "silu", "hidden_act", activation.to_owned(), "use a model with `silu`"),
            (self.attention_bias != Some(true), "attention_bias", "true".to_owned(), bias),
            (self.mlp_bias != Some(true), "mlp_bias", "true".to_owned(), bias),
            (
                self.quantization_config.is_none(),
                "quantization_config",
                "set".to_owned(),
                "download the model before quantization, in fp32, bf16 or fp16",
            ),
        ];
        match rules.into_iter().find(|(is_satisfied, ..)| !is_satisfied) {
            Some((_, field, value, hint)) => Err(unsupported(path, field, value, hint)),
            None => Ok(()),
        }
    }

    fn model(&self, rope: Rope) -> ModelConfig {
        ModelConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_layers: self.num_hidden_layers,
            num_heads: self.num_attention_heads,
            num_kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            // Zero heads are an error of `ModelConfig::checked`; here they must not divide.
            head_dim: self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1)),
            max_positions: self.max_position_embeddings.unwrap_or(2048),
            norm_epsilon: self.rms_norm_eps.unwrap_or(1e-6),
            rope,
            tied: self.tie_word_embeddings.unwrap_or(false),
        }
    }
}
