//! Model folders as the Hugging Face Hub lays them out: `config.json` beside
//! safetensors files, with the Hub's tensor names.

mod number_format;
mod safetensors_file;

pub use number_format::NumberFormat;
pub use safetensors::Dtype;
pub use safetensors::tensor::TensorInfo;
pub use safetensors_file::{SafetensorsFile, TensorHeader, write_safetensors};
