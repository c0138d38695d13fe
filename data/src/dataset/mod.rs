//! A folder of token shards: its manifest, its shards, and the windows in them.
//!
//! This room reads finished folders and never changes one; [`crate::prepare`] writes them. It
//! trusts no manifest: file names, counts and lengths are checked before they are used. Start with
//! [`Dataset`], then read [`Windows`]. The file format is in `shard.rs` and `manifest.rs`.
//!
//! ```rust
//! use std::sync::atomic::AtomicBool;
//!
//! use covey_data::dataset::{Dataset, Split};
//! use covey_data::prepare::{Pipeline, readers::InputFiles};
//! use covey_data::tokenizer::Tokenizer;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::tempdir()?;
//! # let (book, folder) = (home.path().join("book.txt"), home.path().join("dataset"));
//! # std::fs::write(&book, "Call me Ishmael. ".repeat(100))?;
//! let inputs = InputFiles::find(&[book], "text")?;
//! let tokenizer = Tokenizer::train(inputs.documents(), 300)?;
//! Pipeline::new(&inputs, &tokenizer, &folder).run(&mut (), &AtomicBool::new(false))?;
//!
//! let dataset = Dataset::open(&folder)?;
//! let mut tokens = Vec::new();
//! dataset.windows(Split::Train, 16)?.read(0, &mut tokens)?;
//! assert_eq!(tokens.len(), 17);
//! # Ok(())
//! # }
//! ```

mod dataset;
mod held_out;
mod manifest;
mod shard;
mod windows;

pub use self::dataset::Dataset;
pub use self::held_out::HeldOutWindows;
pub(crate) use self::manifest::is_plain_name;
pub use self::manifest::{
    DatasetManifest, MANIFEST_FILE, ShardRecord, Split, SplitTotals, TokenType,
};
pub(crate) use self::shard::{Shard, header};
pub use self::windows::Windows;
