//! The network: a Llama-family decoder with its kernels, files and numbers.

mod block;
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
mod passes;
mod precision;
mod presets;
mod recompute;
mod residence;
mod rope;
mod sampler;
mod step_memory;

pub use config::{Llama3Scaling, ModelConfig, Rope};
pub use decoder::{Decoder, TokenBatch, Weights};
pub use error::{BatchError, ConfigError, HubError};
pub use estimate::FlopsPerToken;
pub use generate::Generation;
pub use init::Initializer;
pub use parameters::{AttentionParameters, BlockParameters, MlpParameters, ParameterSpec, Parameters, Role};
pub use passes::Passes;
pub use precision::Precision;
pub use presets::{preset, preset_names};
pub use recompute::Recompute;
pub use residence::{Residence, Unit};
pub use rope::RopeTable;
pub use sampler::{Sampler, Sampling, SamplingError};
pub use step_memory::{StepMemory, StepShape};
