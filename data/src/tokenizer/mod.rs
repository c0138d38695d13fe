//! Byte-level BPE tokenizers: training, encoding, decoding, and `tokenizer.json` files.
//!
//! Encoding and decoding are those of the `tokenizers` library; training is not, because the
//! library's result depends on random hash maps. This room downloads nothing and knows nothing of
//! shards or models. Start with [`Tokenizer`]; the training algorithm is in `bpe_merges.rs`.
//!
//! ```rust
//! use covey_data::tokenizer::Tokenizer;
//!
//! # fn main() -> Result<(), covey_data::error::DataError> {
//! let corpus = ["to be or not to be", "to be is to do"].map(|text| Ok(text.to_string()));
//! let tokenizer = Tokenizer::train(corpus, 300)?;
//! let tokens = tokenizer.encode("to be")?;
//! assert_eq!(tokenizer.decode(&tokens)?, "to be");
//! assert!(tokens.len() < "to be".len());
//! # Ok(())
//! # }
//! ```

mod bpe_merges;
mod byte_alphabet;
mod byte_lengths;
mod companion_files;
mod decode_stream;
mod files;
mod text_chunks;
mod tokenizer;
mod training;
mod word_counts;

pub(crate) use self::companion_files::TOKENIZER_FILE;
pub use self::decode_stream::DecodeStream;
pub use self::tokenizer::{END_OF_TEXT, Tokenizer};
pub use self::training::SMALLEST_VOCABULARY;
