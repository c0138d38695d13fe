//! The shape of a network: its configuration, presets, parameters and rotary tables.

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
