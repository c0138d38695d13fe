//! Byte-level BPE tokenizers: training, encoding, decoding, and `tokenizer.json` files.

mod bpe_merges;
mod byte_alphabet;
mod byte_lengths;
mod decode_stream;
mod files;
mod text_chunks;
mod tokenizer;
mod training;
mod word_counts;

pub use self::decode_stream::DecodeStream;
pub(crate) use self::files::TOKENIZER_FILE;
pub use self::tokenizer::Tokenizer;
pub use self::training::{END_OF_TEXT, SMALLEST_VOCABULARY};
