//! From text files to token shards.

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
