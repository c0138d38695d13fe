//! Text files to token shards, once, before training.
//!
//! [`Inputs`] finds the files, [`Preparation`] tokenises their documents on all cores and writes a folder that
//! [`crate::Dataset`] opens: shards, `manifest.json`, and the tokenizer. The bytes depend on the inputs, the tokenizer
//! and the options alone, not on the machine or on interruptions.

mod assembly;
mod division;
mod documents;
mod format;
mod inputs;
mod json_lines;
mod parquet_column;
mod preparation;
mod progress;
mod shard_builder;
mod state;
mod text_field;
mod text_file;

pub use documents::Documents;
pub use format::KNOWN_EXTENSIONS;
pub use inputs::Inputs;
pub use preparation::{Preparation, PrepareOptions, Prepared};
pub use progress::{Note, PrepareObserver, Progress};
