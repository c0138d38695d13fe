//! Model folders as Hugging Face writes them: `config.json`, safetensors, shards.

mod atomic_folder;
mod config_json;
mod dtype;
mod export;
mod file_names;
mod import;
mod rope_json;
mod safetensors_file;

pub use self::config_json::{HubConfig, TokenIds};
pub use self::dtype::FloatDtype;
pub use self::export::{ExportOptions, export};
pub use self::import::HubFolder;
pub use self::safetensors_file::{SafetensorsFile, TensorHeader, write_safetensors};
pub use safetensors::Dtype;
