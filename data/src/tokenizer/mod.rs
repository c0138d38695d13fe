//! Text to tokens and back.
//!
//! Any `tokenizer.json` of the Hub works; [`Tokenizer::train`] makes a byte-level BPE of our own. Encoding and decoding
//! are those of the `tokenizers` library, so other programs see the same tokens.

mod byte_alphabet;
mod byte_lengths;
mod byte_pairs;
mod codec;
mod decode_stream;
mod folder;
mod pieces;
mod training;
mod word_counts;

pub use codec::Tokenizer;
pub use decode_stream::DecodeStream;
pub(crate) use folder::TOKENIZER_FILE;
pub use training::{END_OF_TEXT, SMALLEST_VOCABULARY};
