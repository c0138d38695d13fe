//! The network: a Llama-family decoder with its kernels, files and numbers.

mod config;
mod error;
pub mod hub;
mod parameters;

pub use config::{Llama3Scaling, ModelConfig, Rope};
pub use error::{ConfigError, HubError};
pub use parameters::{AttentionParameters, BlockParameters, MlpParameters, ParameterSpec, Parameters, Role};
