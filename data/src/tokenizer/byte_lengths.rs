//! The number of bytes of text in every token.

use serde_json::Value;
use tokenizers::Tokenizer;

use super::byte_alphabet;

/// Bytes of text by token id: 0 for special tokens and for ids without a token.
///
/// Exact for byte-level vocabularies and for SentencePiece vocabularies with `▁` and `<0xNN>`. For
/// others the bytes of the token's spelling are counted. The space that SentencePiece puts before a
/// text is counted although the text does not contain it.
pub(super) fn byte_lengths(tokenizer: &Tokenizer, vocab_size: usize) -> Vec<u32> {
    let byte_level = is_byte_level(tokenizer);
    let mut lengths = vec![0; vocab_size];
    for (token, id) in tokenizer.get_vocab(false) {
        let bytes =
            if byte_level { byte_level_length(&token) } else { sentence_piece_length(&token) };
        set(&mut lengths, id, bytes);
    }
    // Last, because added tokens are plain text even in a byte-level vocabulary.
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
    // In the byte alphabet one character is one byte; any other token is plain text.
    if token.chars().all(|character| byte_alphabet::byte(character).is_some()) {
        token.chars().count()
    } else {
        token.len()
    }
}

fn sentence_piece_length(token: &str) -> usize {
    // `<0x0A>` spells a byte of a character that is not in the vocabulary.
    let is_byte = token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
    if is_byte { 1 } else { token.replace('▁', " ").len() }
}

fn is_byte_level(tokenizer: &Tokenizer) -> bool {
    // Through JSON, because decoders can be nested and the library keeps their parts private.
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
