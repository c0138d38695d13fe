//! Documents out of text, JSON lines and Parquet files, compressed or not.

mod documents;
mod format;
mod inputs;
mod json_field;
mod json_lines;
mod parquet;
mod text_file;

pub(crate) use self::documents::DocumentPosition;
pub use self::documents::Documents;
pub use self::format::KNOWN_EXTENSIONS;
pub use self::inputs::InputFiles;
