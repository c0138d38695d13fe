//! The tokenizer itself: encode, decode, and what a model needs to know of the vocabulary.

use std::fmt;
use std::path::Path;

use rayon::prelude::*;

use super::byte_lengths::byte_lengths;
use super::decode_stream::DecodeStream;
use super::files::Companions;
use super::text_chunks::pieces;
use super::training::END_OF_TEXT;
use crate::error::DataError;
use crate::io::FileDigest;

/// Names under which vocabularies keep their end of text, most specific first.
const END_OF_TEXT_NAMES: [&str; 4] = [END_OF_TEXT, "</s>", "<|end_of_text|>", "<eos>"];

/// Text to token ids and back, as a `tokenizer.json` describes it.
///
/// - Text is always text: a document that spells a special token does not get that token.
/// - No tokens are added around a text; whoever wants a beginning or an end of text puts it there.
/// - The bytes of the `tokenizer.json` are kept, so that saving changes nothing and [`Tokenizer::digest`] is the digest
///   of the file.
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
    /// Reads the contents of a `tokenizer.json`.
    pub fn from_json(json: &[u8]) -> Result<Self, DataError> {
        Self::from_parts(
            json.to_vec(),
            Companions::default(),
            Path::new(super::files::TOKENIZER_FILE),
        )
    }

    pub(super) fn from_parts(
        json: Vec<u8>,
        companions: Companions,
        path: &Path,
    ) -> Result<Self, DataError> {
        let unusable = |reason: String| DataError::TokenizerFile { path: path.into(), reason };
        let mut library = tokenizers::Tokenizer::from_bytes(&json)
            .map_err(|error| unusable(error.to_string()))?;
        library.set_encode_special_tokens(true);
        library.with_padding(None);
        library.with_truncation(None).map_err(|error| unusable(error.to_string()))?;
        let highest = library.get_vocab(true).into_values().max();
        let highest = highest.ok_or_else(|| unusable("its vocabulary is empty".to_string()))?;
        let end_of_text = end_of_text(&library, &companions);
        let digest = FileDigest::of(&json);
        Ok(Self {
            library,
            json,
            companions,
            digest,
            vocab_size: highest as usize + 1,
            end_of_text,
        })
    }

    /// The tokens of a text. Long texts are encoded by all cores.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let pieces: Vec<&str> = pieces(text).collect();
        match pieces.as_slice() {
            [] => Ok(Vec::new()),
            [piece] => self.encode_piece(piece),
            _ => {
                let parts: Result<Vec<_>, _> =
                    pieces.par_iter().map(|piece| self.encode_piece(piece)).collect();
                Ok(parts?.concat())
            }
        }
    }

    /// The tokens of many texts, encoded by all cores; the order is kept.
    pub fn encode_batch(
        &self,
        texts: &[impl AsRef<str> + Sync],
    ) -> Result<Vec<Vec<u32>>, DataError> {
        texts.par_iter().map(|text| self.encode(text.as_ref())).collect()
    }

    /// The text of some tokens.
    ///
    /// Special tokens and ids without a token stand for nothing; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, DataError> {
        self.library.decode(tokens, true).map_err(DataError::tokenizer)
    }

    /// Decodes tokens as they are generated, whole characters only.
    pub fn decode_stream(&self) -> DecodeStream<'_> {
        DecodeStream::new(self)
    }

    /// The highest token id plus one: the rows an embedding needs.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The token between documents, if the vocabulary has one.
    ///
    /// It is what the `tokenizer_config.json` beside the file calls `eos_token`, or else the first of the usual names:
    /// `<|endoftext|>`, `</s>`, `<|end_of_text|>`, `<eos>`.
    pub fn end_of_text(&self) -> Option<u32> {
        self.end_of_text
    }

    /// The id of a token as it is written in the vocabulary.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.library.token_to_id(token)
    }

    /// How many bytes of text each token stands for, by id: 0 for special tokens and for ids without a token.
    ///
    /// Bits per byte are the summed loss in bits over the summed lengths of the predicted tokens. Exact for byte-level
    /// and SentencePiece vocabularies.
    pub fn byte_lengths(&self) -> Vec<u32> {
        byte_lengths(&self.library, self.vocab_size)
    }

    /// BLAKE3 of the `tokenizer.json`: equal digests encode equally.
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

    fn encode_piece(&self, piece: &str) -> Result<Vec<u32>, DataError> {
        let encoding = self.library.encode_fast(piece, false).map_err(DataError::tokenizer)?;
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

fn end_of_text(library: &tokenizers::Tokenizer, companions: &Companions) -> Option<u32> {
    let configured = companions.end_of_text_name();
    let names = configured.iter().map(String::as_str).chain(END_OF_TEXT_NAMES);
    names.filter_map(|name| library.token_to_id(name)).next()
}
