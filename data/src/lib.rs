//! From text to token windows.
//!
//! [`prepare`] turns text files into a folder of token shards, once. [`Dataset`] opens such a folder, [`Sampler`] draws
//! windows from one or several of them in a seeded order that is computed instead of stored, and [`Loader`] keeps a few
//! batches ahead of the training loop. [`Tokenizer`] reads, trains and writes `tokenizer.json` files.
//!
//! Nothing here reads a clock or draws random numbers: the same inputs give the same bytes on every machine.

pub mod dataset;
pub mod error;
pub mod io;
pub mod prepare;
pub mod sampling;
pub mod tokenizer;
