//! The shape of a network: sizes, presets, names and shapes of parameters, rotary table.
//!
//! This folder computes with integers and angles only; it holds no weights and touches no device.
//! Start reading at [`ModelConfig`], then at [`Parameters`].
//!
//! ```rust
//! use covey_model::config::{ModelConfig, preset};
//!
//! let tiny = preset("tiny").expect("`tiny` is a preset");
//! assert_eq!(tiny.num_parameters(), 1_262_720);
//! assert_eq!(tiny.parameters().blocks[0].attention.query.shape, [128, 128]);
//!
//! // An invalid size is reported under its name in `config.json`.
//! let odd = ModelConfig { num_kv_heads: 3, ..tiny };
//! assert_eq!(odd.checked().unwrap_err().field, "num_key_value_heads");
//! ```

mod activation_checkpointing;
mod model_config;
mod parameters;
mod precision;
mod presets;
mod rope;

pub use self::activation_checkpointing::ActivationCheckpointing;
pub use self::model_config::{Llama3Scaling, ModelConfig, Rope};
pub use self::parameters::{
    AttentionParameters, BlockParameters, MlpParameters, ParameterSpec, Parameters, Role,
};
pub use self::precision::Precision;
pub use self::presets::{preset, preset_names};
pub use self::rope::RopeTable;
