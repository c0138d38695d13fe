//! How many bytes of text every token stands for.

use serde_json::Value;
use tokenizers::Tokenizer;

use super::byte_alphabet;

/// Bytes of text by token id: 0 for special tokens and for ids without a token.
///
/// Exact for byte-level vocabularies and for SentencePiece ones with `▁` and `<0xNN>`; others count the bytes of the
/// token as written. The space that SentencePiece puts before a text is counted although no text shows it.
pub(super) fn byte_lengths(tokenizer: &Tokenizer, vocab_size: usize) -> Vec<u32> {
    let byte_level = is_byte_level(tokenizer);
    let mut lengths = vec![0; vocab_size];
    for (token, id) in tokenizer.get_vocab(false) {
        let bytes =
            if byte_level { byte_level_length(&token) } else { sentence_piece_length(&token) };
        set(&mut lengths, id, bytes);
    }
    // Added tokens stand for their own text, whatever the vocabulary beneath.
    for (id, token) in tokenizer.get_added_tokens_decoder() {
        set(&mut lengths, id, if token.special { 0 } else { token.content.len() });
    }
    lengths
}

fn set(lengths: &mut [u32], id: u32, bytes: usize) {
    if let Some(length) = lengths.get_mut(id as usize) {
        *length = bytes as u32;
    }
}

fn byte_level_length(token: &str) -> usize {
    match token.chars().all(|character| byte_alphabet::byte(character).is_some()) {
        true => token.chars().count(),
        false => token.len(),
    }
}

fn sentence_piece_length(token: &str) -> usize {
    let is_byte = token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
    if is_byte { 1 } else { token.replace('▁', " ").len() }
}

fn is_byte_level(tokenizer: &Tokenizer) -> bool {
    let decoder = tokenizer.get_decoder().and_then(|decoder| serde_json::to_value(decoder).ok());
    decoder.is_some_and(|decoder| names_byte_level(&decoder))
}

fn names_byte_level(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.get("type").is_some_and(|kind| kind == "ByteLevel")
                || fields.values().any(names_byte_level)
        }
        Value::Array(items) => items.iter().any(names_byte_level),
        _ => false,
    }
}
