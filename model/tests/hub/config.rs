//! `config.json`: old and new form, and errors.

use std::path::Path;

use covey_model::config::{Llama3Scaling, ModelConfig, Rope, preset, preset_names};
use covey_model::error::HubError;
use covey_model::hub::{FloatDtype, HubConfig, TokenIds};
use serde_json::{Value, json};

fn parse(config: &Value) -> Result<HubConfig, HubError> {
    HubConfig::parse(&config.to_string(), Path::new("folder/config.json"))
}

/// The required fields of a Llama config.
fn minimal() -> Value {
    json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 320,
        "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 3,
        "num_attention_heads": 4
    })
}

fn minimal_with(changes: Value) -> Value {
    let mut config = minimal();
    for (field, value) in changes.as_object().unwrap() {
        config[field] = value.clone();
    }
    config
}

fn rope(changes: Value) -> Rope {
    parse(&minimal_with(changes)).unwrap().model.rope
}

const SCALING: Llama3Scaling = Llama3Scaling {
    factor: 8.0,
    low_freq_factor: 1.0,
    high_freq_factor: 4.0,
    original_max_positions: 8192,
};

#[test]
fn missing_fields_have_the_defaults_of_transformers() {
    let parsed = parse(&minimal()).unwrap();
    let expected = ModelConfig {
        vocab_size: 320,
        hidden_size: 64,
        intermediate_size: 176,
        num_layers: 3,
        num_heads: 4,
        num_kv_heads: 4,
        head_dim: 16,
        max_positions: 2048,
        norm_epsilon: 1e-6,
        rope: Rope { theta: 10_000.0, scaling: None },
        tied: false,
    };
    assert_eq!(parsed.model, expected);
    assert_eq!((parsed.format, parsed.tying_is_stated), (None, false));
    assert_eq!(parsed.token_ids, TokenIds::default());
}

#[test]
fn optional_fields_are_read() {
    let parsed = parse(&minimal_with(json!({
        "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "dtype": "bfloat16",
        "bos_token_id": 1, "eos_token_id": [2, 7]
    })))
    .unwrap();
    let ModelConfig { num_kv_heads, head_dim, max_positions, norm_epsilon, tied, .. } =
        parsed.model;
    assert_eq!(
        (num_kv_heads, head_dim, max_positions, norm_epsilon, tied),
        (2, 32, 128, 1e-5, true)
    );
    assert_eq!((parsed.format, parsed.tying_is_stated), (Some(FloatDtype::Bf16), true));
    assert_eq!(parsed.token_ids, TokenIds { bos: Some(1), eos: vec![2, 7] });
    let old = parse(&minimal_with(json!({ "torch_dtype": "float16" }))).unwrap();
    assert_eq!(old.format, Some(FloatDtype::Fp16));
}

#[test]
fn old_and_new_forms_of_rope_are_equivalent() {
    let plain = Rope { theta: 500_000.0, scaling: None };
    for form in [
        json!({ "rope_theta": 500000 }),
        json!({ "rope_theta": 500000.0, "rope_scaling": null }),
        json!({ "rope_parameters": { "rope_theta": 500000.0, "rope_type": "default" } }),
        json!({ "rope_parameters": { "rope_theta": 500000.0 } }),
        json!({ "rope_theta": 500000.0, "rope_parameters": { "rope_type": "default" } }),
    ] {
        assert_eq!(rope(form.clone()), plain, "{form}");
    }
    let numbers = json!({ "factor": 8.0, "low_freq_factor": 1, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192 });
    let stretched = Rope { scaling: Some(SCALING), ..plain };
    for names in [
        json!({ "rope_type": "llama3" }),
        json!({ "type": "llama3" }),
        json!({ "rope_type": "llama3", "type": "llama3" }),
    ] {
        let mut scaling = numbers.clone();
        scaling.as_object_mut().unwrap().extend(names.as_object().unwrap().clone());
        assert_eq!(
            rope(json!({ "rope_theta": 500000.0, "rope_scaling": scaling })),
            stretched,
            "{names}"
        );
        scaling["rope_theta"] = json!(500000.0);
        assert_eq!(rope(json!({ "rope_parameters": scaling })), stretched, "{names}");
    }
}

#[test]
fn written_configs_are_read_without_loss() {
    let scaled = ModelConfig {
        rope: Rope { theta: 5e5, scaling: Some(SCALING) },
        head_dim: 32,
        tied: true,
        ..preset("tiny").unwrap()
    };
    for model in preset_names().map(|name| preset(name).unwrap()).chain([scaled]) {
        let ids = [
            TokenIds::default(),
            TokenIds { bos: Some(0), eos: vec![3] },
            TokenIds { bos: None, eos: vec![1, 5] },
        ];
        for (format, token_ids) in FloatDtype::ALL.into_iter().zip(ids) {
            let written = HubConfig {
                model: model.clone(),
                token_ids,
                format: Some(format),
                tying_is_stated: true,
            };
            let read = HubConfig::parse(&written.to_json(), Path::new("config.json")).unwrap();
            assert_eq!(read, written);
        }
    }
}

#[test]
fn old_and_new_readers_find_all_fields_under_their_names() {
    let model = ModelConfig {
        rope: Rope { theta: 5e5, scaling: Some(SCALING) },
        ..preset("tiny").unwrap()
    };
    let config = HubConfig { model, ..parse(&minimal()).unwrap() };
    let whole: Value = serde_json::from_str(&config.to_json()).unwrap();
    for unknown in [["rope_parameters", "dtype"], ["rope_scaling", "rope_theta"]] {
        let mut one_form = whole.clone();
        for field in unknown {
            assert!(one_form.as_object_mut().unwrap().remove(field).is_some(), "{field}");
        }
        assert_eq!(parse(&one_form).unwrap().model, config.model, "without {unknown:?}");
    }
}

#[test]
fn errors_of_unsupported_configs_have_the_field_and_a_hint() {
    let cases = [
        (json!({ "model_type": "mistral" }), "model_type = mistral"),
        (json!({ "model_type": null }), "model_type = null"),
        (
            json!({ "architectures": ["LlamaForSequenceClassification"] }),
            "architectures = LlamaForSequenceClassification",
        ),
        (json!({ "hidden_act": "gelu" }), "hidden_act = gelu"),
        (json!({ "attention_bias": true }), "attention_bias = true"),
        (json!({ "mlp_bias": true }), "mlp_bias = true"),
        (json!({ "quantization_config": { "bits": 4 } }), "quantization_config = set"),
        (json!({ "partial_rotary_factor": 0.5 }), "partial_rotary_factor = 0.5"),
        (
            json!({ "rope_scaling": { "type": "yarn", "factor": 4.0 } }),
            "rope_scaling.rope_type = yarn",
        ),
        (
            json!({ "rope_parameters": { "rope_type": "dynamic", "factor": 2.0 } }),
            "rope_parameters.rope_type = dynamic",
        ),
        (json!({ "rope_scaling": { "rope_type": "llama3" } }), "rope_scaling.factor = null"),
        (
            json!({ "rope_parameters": { "full_attention": { "rope_theta": 1.0 } } }),
            "rope_parameters.full_attention",
        ),
        (
            json!({ "rope_theta": 1.0, "rope_parameters": { "rope_theta": 2.0 } }),
            "rope_theta = 1.0 and 2.0",
        ),
    ];
    for (changes, expected) in cases {
        let error = parse(&minimal_with(changes)).unwrap_err();
        assert!(matches!(error, HubError::Unsupported { .. }), "{error:?}");
        let message = error.to_string();
        assert!(
            message.starts_with("`folder/config.json`") && message.contains(expected),
            "{message}"
        );
        assert!(error.hint().is_some_and(|hint| hint.len() > 10), "{message}");
    }
}

fn scaling_with(change: Value) -> Value {
    let mut scaling = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192 });
    scaling.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    json!({ "rope_scaling": scaling })
}

#[test]
fn invalid_sizes_are_reported_by_field() {
    let cases = [
        (json!({ "num_attention_heads": 0 }), "num_attention_heads"),
        (json!({ "num_key_value_heads": 3 }), "num_key_value_heads"),
        (json!({ "head_dim": 7 }), "head_dim"),
        (json!({ "rms_norm_eps": -1.0 }), "rms_norm_eps"),
        (json!({ "vocab_size": 1u64 << 62 }), "vocab_size"),
        (json!({ "num_hidden_layers": 1_000_000 }), "num_hidden_layers"),
        (scaling_with(json!({ "factor": 0.5 })), "rope_scaling.factor"),
        (scaling_with(json!({ "high_freq_factor": 1.0 })), "rope_scaling.high_freq_factor"),
        (scaling_with(json!({ "low_freq_factor": 0.0 })), "rope_scaling.low_freq_factor"),
        (
            scaling_with(json!({ "original_max_position_embeddings": 0 })),
            "rope_scaling.original_max_position_embeddings",
        ),
    ];
    for (changes, expected) in cases {
        match parse(&minimal_with(changes)).unwrap_err() {
            HubError::Config { source, .. } => assert_eq!(source.field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn missing_fields_and_wrong_types_are_reported() {
    let mut without = minimal();
    without.as_object_mut().unwrap().remove("vocab_size");
    for (config, expected) in
        [(without, "vocab_size"), (minimal_with(json!({ "hidden_size": "wide" })), "wide")]
    {
        match parse(&config).unwrap_err() {
            HubError::Json { source, .. } => {
                assert!(source.to_string().contains(expected), "{source}")
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
}
