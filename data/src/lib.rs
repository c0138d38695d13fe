//! From text to token windows.
//!
//! [`prepare`] turns text files into a folder of token shards, once. [`Dataset`] opens such a folder, [`Sampler`] draws
//! windows from one or several of them in a seeded order that is computed instead of stored, and [`Loader`] keeps a few
//! batches ahead of the training loop. [`Tokenizer`] reads, trains and writes `tokenizer.json` files.
//!
//! Nothing here reads a clock or draws random numbers: the same inputs give the same bytes on every machine.

mod assignment;
pub mod atomic_file;
pub mod corpus;
mod cursor;
mod dataset;
mod digest;
mod error;
mod held_out;
mod loader;
pub mod manifest;
mod mixture;
mod permutation;
pub mod prepare;
mod sampler;
mod shard;
pub mod tokenizer;
mod windows;

pub use assignment::Assignment;
pub use cursor::{Cursor, SourceCursor};
pub use dataset::Dataset;
pub use digest::Digest;
pub use error::DataError;
pub use held_out::HeldOutWindows;
pub use loader::{Batch, Loader};
pub use manifest::{Manifest, Split};
pub use mixture::Mixture;
pub use permutation::Permutation;
pub use sampler::{Sampler, Source};
pub use tokenizer::{DecodeStream, Tokenizer};
pub use windows::Windows;
