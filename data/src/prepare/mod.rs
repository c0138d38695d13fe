//! From text files to a dataset: find documents, divide them into splits, encode, write shards.
//!
//! The same inputs, tokenizer and options give the same bytes on every machine, also after any
//! number of interruptions. This room never changes its inputs, and of the files in the output
//! folder it removes only those that a preparation wrote. Start with [`Pipeline::run`]; the steps
//! are in the order [`readers`], `split`, `output_folder`, `shard_builder`, `resume_state`.
//!
//! ```rust
//! use std::sync::atomic::AtomicBool;
//!
//! use covey_data::dataset::Split;
//! use covey_data::prepare::{Pipeline, PrepareOptions, readers::InputFiles};
//! use covey_data::tokenizer::Tokenizer;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::tempdir()?;
//! # let (book, folder) = (home.path().join("book.txt"), home.path().join("dataset"));
//! # std::fs::write(&book, "Call me Ishmael. ".repeat(100))?;
//! let inputs = InputFiles::find(&[book], "text")?;
//! let tokenizer = Tokenizer::train(inputs.documents(), 300)?;
//! let options = PrepareOptions { held_out_fraction: 0.1, ..PrepareOptions::default() };
//! let pipeline = Pipeline { options, ..Pipeline::new(&inputs, &tokenizer, &folder) };
//! let prepared = pipeline.run(&mut (), &AtomicBool::new(false))?;
//! assert!(prepared.manifest.totals_of(Split::HeldOut).text_bytes >= 170);
//! # Ok(())
//! # }
//! ```

pub mod builtin_corpus;
mod output_folder;
mod pipeline;
mod progress;
pub mod readers;
mod resume_state;
mod shard_builder;
mod split;

pub use self::builtin_corpus::{CorpusDocument, CorpusFile, FILES, MOBY_DICK, STATE_OF_THE_UNION};
pub use self::pipeline::{Pipeline, PrepareOptions, Prepared};
pub use self::progress::{Note, PrepareObserver, Progress};
