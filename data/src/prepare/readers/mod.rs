//! Documents from text, JSON lines and Parquet files, with or without zstd.
//!
//! A reader returns one document at a time and takes its memory from the longest document, never
//! from the file. Lines and texts have a limit, because the files come from others. Readers do not
//! change, filter or normalise text, except for a byte order mark. Start with [`InputFiles`]; a new
//! format needs a line in `format.rs` and an implementation of the trait in `document_reader.rs`.
//!
//! ```rust
//! use covey_data::prepare::readers::InputFiles;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("corpus.jsonl");
//! std::fs::write(&path, "{\"text\": \"one\"}\n{\"id\": 2, \"text\": \"two\"}\n")?;
//! let inputs = InputFiles::find(&[path], "text")?;
//! let documents = inputs.documents().collect::<Result<Vec<String>, _>>()?;
//! assert_eq!(documents, ["one", "two"]);
//! # Ok(())
//! # }
//! ```

mod document_reader;
mod documents;
mod format;
mod input_file;
mod inputs;
mod json_field;
mod json_lines;
mod parquet;
mod text_file;

pub(crate) use self::documents::DocumentPosition;
pub use self::documents::Documents;
pub use self::format::KNOWN_EXTENSIONS;
pub use self::inputs::InputFiles;
