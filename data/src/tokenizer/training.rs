//! A byte-level BPE vocabulary made from text.

use serde_json::{Map, Value, json};

use super::bpe_merges::{MergeLearner, Merges};
use super::byte_alphabet;
use super::tokenizer::Tokenizer;
use super::word_counts::WordCounts;
use crate::error::DataError;

/// The token between documents, with id 0 in vocabularies of our own; it also starts and ends a text.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// The least vocabulary: 256 bytes and the end of text.
pub const SMALLEST_VOCABULARY: usize = 257;

impl Tokenizer {
    /// Learns a byte-level BPE from documents.
    ///
    /// Ids are: 0 for [`END_OF_TEXT`], 1 to 256 for the bytes in order, then merges from the most frequent on. The
    /// result depends on the documents alone, not on their order or on the number of threads. It has fewer than
    /// `vocab_size` tokens when no pair of tokens occurs twice any more; any text can be encoded in every case.
    ///
    /// Fails when `vocab_size` is below [`SMALLEST_VOCABULARY`] or when a document is an error.
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
        let learner =
            MergeLearner::new(words.into_words().map(|(word, count)| (byte_tokens(&word), count)));
        Self::from_json(&description(&learner.learn(alphabet(), vocab_size)))
    }
}

fn alphabet() -> Vec<String> {
    let bytes = (0..=u8::MAX).map(|byte| byte_alphabet::character(byte).to_string());
    std::iter::once(END_OF_TEXT.to_string()).chain(bytes).collect()
}

fn byte_tokens(word: &str) -> Vec<u32> {
    word.chars().filter_map(byte_alphabet::byte).map(|byte| u32::from(byte) + 1).collect()
}

/// The `tokenizer.json` of a byte-level BPE, keys in the order that the library writes.
fn description(merges: &Merges) -> Vec<u8> {
    let token = |id: u32| &merges.tokens[id as usize];
    let vocabulary: Map<String, Value> =
        merges.tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    let pairs: Vec<[&String; 2]> =
        merges.pairs.iter().map(|&(left, right)| [token(left), token(right)]).collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    });
    let description = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": 0, "content": END_OF_TEXT, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": pairs,
        },
    });
    serde_json::to_vec_pretty(&description).expect("a tree of strings and numbers is always JSON")
}
