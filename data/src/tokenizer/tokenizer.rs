//! The tokenizer: encode, decode, and the properties of the vocabulary that a model needs.

use std::fmt;
use std::path::Path;

use rayon::prelude::*;

use super::byte_lengths::byte_lengths;
use super::companion_files::{Companions, TOKENIZER_FILE};
use super::text_chunks::chunks;
use crate::error::DataError;
use crate::io::FileDigest;

/// The token between documents. Trained vocabularies give it id 0; it starts and ends a text.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// Common names of the end of text, in the order in which they are tried.
const END_OF_TEXT_NAMES: [&str; 4] = [END_OF_TEXT, "</s>", "<|end_of_text|>", "<eos>"];

/// The conversion between text and token ids that a `tokenizer.json` defines.
///
/// - A text that spells a special token is encoded as ordinary text.
/// - No tokens are added around a text; the caller adds a beginning or an end of text if needed.
/// - The bytes of the `tokenizer.json` are kept: saving changes nothing, and [`Tokenizer::digest`]
///   is the digest of the file.
#[derive(Clone)]
pub struct Tokenizer {
    library: tokenizers::Tokenizer,
    json: Vec<u8>,
    companions: Companions,
    digest: FileDigest,
    vocab_size: usize,
    end_of_text: Option<u32>,
}

impl Tokenizer {
    /// Parses the contents of a `tokenizer.json`.
    pub fn from_json(json: &[u8]) -> Result<Self, DataError> {
        Self::from_parts(json.to_vec(), Companions::default(), Path::new(TOKENIZER_FILE))
    }

    /// A tokenizer from its files; `path` names the `tokenizer.json` in errors.
    pub(super) fn from_parts(
        json: Vec<u8>,
        companions: Companions,
        path: &Path,
    ) -> Result<Self, DataError> {
        let (library, vocab_size) = parsed(&json)
            .map_err(|reason| DataError::TokenizerFile { path: path.into(), reason })?;
        let end_of_text = end_of_text(&library, &companions);
        let digest = FileDigest::of(&json);
        Ok(Self { library, json, companions, digest, vocab_size, end_of_text })
    }

    /// The tokens of a text. Long texts are encoded on all cores.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let chunks: Vec<&str> = chunks(text).collect();
        match chunks.as_slice() {
            [] => Ok(Vec::new()),
            // Most documents are one chunk; a parallel iterator would only add overhead.
            [chunk] => self.encode_chunk(chunk),
            _ => {
                let parts: Result<Vec<_>, _> =
                    chunks.par_iter().map(|chunk| self.encode_chunk(chunk)).collect();
                Ok(parts?.concat())
            }
        }
    }

    /// The tokens of many texts in the same order, encoded on all cores.
    pub fn encode_batch(
        &self,
        texts: &[impl AsRef<str> + Sync],
    ) -> Result<Vec<Vec<u32>>, DataError> {
        texts.par_iter().map(|text| self.encode(text.as_ref())).collect()
    }

    /// The text of a list of tokens.
    ///
    /// Special tokens and ids without a token give no text; invalid UTF-8 becomes U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, DataError> {
        self.library.decode(tokens, true).map_err(DataError::tokenizer)
    }

    /// The highest token id plus one, which is the number of rows of an embedding.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The token between documents, if the vocabulary has one.
    ///
    /// This is the `eos_token` of the `tokenizer_config.json` next to the file, or otherwise the
    /// first of these names in the vocabulary: `<|endoftext|>`, `</s>`, `<|end_of_text|>`, `<eos>`.
    pub fn end_of_text(&self) -> Option<u32> {
        self.end_of_text
    }

    /// The id of a token, spelled as in the vocabulary.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.library.token_to_id(token)
    }

    /// Bytes of text of each token, by id: 0 for special tokens and for ids without a token.
    ///
    /// Bits per byte are the summed loss in bits divided by the summed lengths of the predicted
    /// tokens. Exact for byte-level and SentencePiece vocabularies.
    pub fn byte_lengths(&self) -> Vec<u32> {
        byte_lengths(&self.library, self.vocab_size)
    }

    /// BLAKE3 of the `tokenizer.json`; tokenizers with equal digests encode equally.
    pub fn digest(&self) -> FileDigest {
        self.digest
    }

    /// The contents of the `tokenizer.json`.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    pub(super) fn companions(&self) -> &Companions {
        &self.companions
    }

    pub(super) fn end_of_text_name(&self) -> Option<String> {
        self.end_of_text.and_then(|id| self.library.id_to_token(id))
    }

    fn encode_chunk(&self, chunk: &str) -> Result<Vec<u32>, DataError> {
        // `encode_fast` leaves out the offsets of the tokens in the text, which have no use here.
        let encoding = self.library.encode_fast(chunk, false).map_err(DataError::tokenizer)?;
        Ok(encoding.get_ids().to_vec())
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("digest", &self.digest)
            .field("vocab_size", &self.vocab_size)
            .finish()
    }
}

/// The tokenizer of the library with its vocabulary size, or the reason why it cannot be used.
fn parsed(json: &[u8]) -> Result<(tokenizers::Tokenizer, usize), String> {
    let mut library = tokenizers::Tokenizer::from_bytes(json).map_err(|error| error.to_string())?;
    // Despite the name, `true` makes special tokens in a text ordinary text.
    library.set_encode_special_tokens(true);
    // A file can ask for padding and truncation; both would change the tokens of documents.
    library.with_padding(None);
    library.with_truncation(None).map_err(|error| error.to_string())?;
    // Ids can have gaps, so the number of tokens can be smaller than the highest id.
    let highest = library.get_vocab(true).into_values().max();
    let highest = highest.ok_or_else(|| "its vocabulary is empty".to_string())?;
    Ok((library, highest as usize + 1))
}

fn end_of_text(library: &tokenizers::Tokenizer, companions: &Companions) -> Option<u32> {
    let configured = companions.end_of_text_name();
    let names = configured.iter().map(String::as_str).chain(END_OF_TEXT_NAMES);
    names.filter_map(|name| library.token_to_id(name)).next()
}
