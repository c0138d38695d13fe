//! Model folders in the layout of Hugging Face: `config.json` and safetensors, sharded or not.
//!
//! This folder reads and writes files; it never contacts the Hub. Files come from anywhere, so each
//! length and name is checked before it is used, and memory is never allocated for a size that the
//! file itself does not have. Start reading at [`HubFolder`] and [`export()`].
//!
//! ```rust
//! use covey_model::config::preset;
//! use covey_model::hub::{ExportOptions, HubFolder, export};
//! use covey_model::init::Initializer;
//!
//! let config = preset("tiny").expect("`tiny` is a preset");
//! let initializer = Initializer::new(42, &config);
//! let folder = tempfile::tempdir()?;
//! let options = ExportOptions::default();
//! export(folder.path(), &config, &options, |spec| Ok(initializer.tensor(spec).into()))?;
//!
//! let opened = HubFolder::open(folder.path())?;
//! assert_eq!(opened.config().model, config);
//! let norm = config.parameters().norm;
//! assert_eq!(opened.read(&norm)?, initializer.tensor(&norm));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic_folder;
mod bounded_read;
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
