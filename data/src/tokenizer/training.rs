//! Training of a byte-level BPE vocabulary.

use serde_json::{Map, Value, json};

use super::bpe_merges::{MergeLearner, Merges, Pair};
use super::byte_alphabet;
use super::tokenizer::{END_OF_TEXT, Tokenizer};
use super::word_counts::WordCounts;
use crate::error::DataError;

/// The smallest vocabulary: 256 bytes and the end of text.
pub const SMALLEST_VOCABULARY: usize = 257;

impl Tokenizer {
    /// Trains a byte-level BPE on documents.
    ///
    /// Id 0 is [`END_OF_TEXT`], ids 1 to 256 are the bytes in order, and the merges follow, the
    /// most frequent first. The result depends only on the documents, not on their order or on the
    /// number of threads. It has fewer than `vocab_size` tokens if no pair of tokens is left that
    /// occurs twice. Every text can be encoded in any case.
    ///
    /// Fails if `vocab_size` is below [`SMALLEST_VOCABULARY`] or if a document is an error.
    pub fn train(
        documents: impl IntoIterator<Item = Result<String, DataError>>,
        vocab_size: usize,
    ) -> Result<Self, DataError> {
        if vocab_size < SMALLEST_VOCABULARY {
            return Err(DataError::Setting {
                name: "vocabulary size",
                got: vocab_size.to_string(),
                expected: format!("at least {SMALLEST_VOCABULARY}"),
            });
        }
        let words = WordCounts::of(documents.into_iter())?;
        // The words are in random order; the choices of the learner do not depend on it.
        let learner =
            MergeLearner::new(words.into_words().map(|(word, count)| (byte_tokens(&word), count)));
        Self::from_json(&description(&learner.learn(alphabet(), vocab_size)))
    }
}

fn alphabet() -> Vec<String> {
    let bytes = (0..=u8::MAX).map(|byte| byte_alphabet::character(byte).to_string());
    std::iter::once(END_OF_TEXT.to_string()).chain(bytes).collect()
}

/// The single-byte tokens of a word: byte b has id b + 1, because id 0 is the end of text.
fn byte_tokens(word: &str) -> Vec<u32> {
    word.chars().filter_map(byte_alphabet::byte).map(|byte| u32::from(byte) + 1).collect()
}

/// The `tokenizer.json` of a byte-level BPE, with its keys in the order of the library.
fn description(merges: &Merges) -> Vec<u8> {
    let vocabulary: Map<String, Value> =
        merges.tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    let pairs: Vec<[&String; 2]> =
        merges.pairs.iter().map(|&pair| spelling(merges, pair)).collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    let description = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": 0, "content": END_OF_TEXT, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true,
        }],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false, "vocab": vocabulary, "merges": pairs,
        },
    });
    serde_json::to_vec_pretty(&description).expect("a tree of strings and numbers is always JSON")
}

fn spelling(merges: &Merges, (left, right): Pair) -> [&String; 2] {
    [left, right].map(|id| &merges.tokens[id as usize])
}
