//! Turns text into windows of tokens for training.
//!
//! [`prepare`] reads text files once and writes a folder of token shards.
//! [`Dataset`](dataset::Dataset) opens such a folder,
//! [`WindowSampler`](sampling::WindowSampler) draws windows from one or several of them, and
//! [`PrefetchLoader`](sampling::PrefetchLoader) reads a few batches ahead of the training loop.
//! [`Tokenizer`](tokenizer::Tokenizer) trains, reads and writes `tokenizer.json` files.
//!
//! This crate never reads a clock and never draws random numbers: equal inputs give equal bytes on
//! every machine. It opens no network connection.
//!
//! A room imports only rooms of lower floors; [`error`] is below all of them and imports none.
//!
//! | floor | rooms | what they hold |
//! |---|---|---|
//! | 1 | [`io`] | digests of files, atomic replacement of files, reads with a limit |
//! | 2 | [`tokenizer`] | byte-level BPE: training, encoding, decoding, `tokenizer.json` files |
//! | 3 | [`dataset`] | a folder of token shards: manifest, shards, splits, windows |
//! | 4 | [`sampling`] | the order of the windows, the share of each slot, batches read ahead |
//! | 4 | [`prepare`] | from text, JSON lines and Parquet files to a dataset |

pub mod dataset;
pub mod error;
pub mod io;
pub mod prepare;
pub mod sampling;
pub mod tokenizer;
