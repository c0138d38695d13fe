//! The network: a Llama-family decoder with its kernels, files and numbers.

mod config;
mod decoder;
mod draws;
mod error;
mod estimate;
mod generate;
pub mod hub;
mod init;
pub mod kernels;
mod normal;
mod parameters;
mod presets;
mod rope;
mod sampler;

pub use config::{Llama3Scaling, ModelConfig, Rope};
pub use decoder::{Decoder, TokenBatch, Weights};
pub use error::{BatchError, ConfigError, HubError};
pub use estimate::{FlopsPerToken, MemoryEstimate};
pub use generate::Generation;
pub use init::Initializer;
pub use parameters::{AttentionParameters, BlockParameters, MlpParameters, ParameterSpec, Parameters, Role};
pub use presets::{preset, preset_names};
pub use rope::RopeTable;
pub use sampler::{Sampler, Sampling, SamplingError};
