//! Model folders as the Hugging Face Hub lays them out: `config.json` beside
//! safetensors files, with the Hub's tensor names.

mod config_json;
mod export;
mod import;
mod number_format;
mod rope_json;
mod safetensors_file;
mod staging;

pub use config_json::{HubConfig, TokenIds};
pub use export::{ExportOptions, export};
pub use import::HubFolder;
pub use number_format::NumberFormat;
pub use safetensors::Dtype;
pub use safetensors::tensor::TensorInfo;
pub use safetensors_file::{SafetensorsFile, TensorHeader, write_safetensors};

const CONFIG: &str = "config.json";
const GENERATION_CONFIG: &str = "generation_config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
