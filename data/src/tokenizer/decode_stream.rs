//! Text from tokens while a model is still generating them.

use super::tokenizer::Tokenizer;
use crate::error::DataError;

/// The character that a decoder emits for invalid or incomplete UTF-8.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Most bytes of an incomplete character; some decoders emit a replacement for each of them.
const INCOMPLETE_BYTES: usize = 3;

/// Decodes one token at a time and emits whole characters only.
///
/// - The emitted parts, with [`DecodeStream::finish`], are the text that [`Tokenizer::decode`]
///   gives for all tokens.
/// - Incomplete characters are held back until later tokens complete or break them.
#[derive(Debug)]
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    /// The tokens of the last complete text, followed by the tokens with text not yet emitted.
    tokens: Vec<u32>,
    /// How many of `tokens` are tokens of the last complete text.
    context: usize,
    /// The part of the text of `tokens` that has been emitted.
    emitted: String,
}

impl Tokenizer {
    /// Decodes tokens while they are generated, whole characters only.
    pub fn decode_stream(&self) -> DecodeStream<'_> {
        DecodeStream::new(self)
    }
}

impl<'a> DecodeStream<'a> {
    fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, tokens: Vec::new(), context: 0, emitted: String::new() }
    }

    /// The text that one more token completes; empty while a character is incomplete.
    pub fn push(&mut self, token: u32) -> Result<String, DataError> {
        self.tokens.push(token);
        let text = self.tokenizer.decode(&self.tokens)?;
        let complete = without_incomplete(&text);
        let part = after(&self.emitted, complete).to_string();
        if complete.len() < text.len() {
            self.emitted = complete.to_string();
        } else {
            // No text is held back, so these tokens become the context of the next ones.
            self.forget_context()?;
        }
        Ok(part)
    }

    /// The text that is still held back after the last token.
    pub fn finish(self) -> Result<String, DataError> {
        let text = self.tokenizer.decode(&self.tokens)?;
        Ok(after(&self.emitted, &text).to_string())
    }

    /// Drops the tokens before the last complete text, so the cost of a step stays constant.
    fn forget_context(&mut self) -> Result<(), DataError> {
        // The last complete text stays: some decoders drop the space before the first token, so a
        // new token must never be decoded first.
        self.tokens.drain(..self.context);
        self.context = self.tokens.len();
        self.emitted = self.tokenizer.decode(&self.tokens)?;
        Ok(())
    }
}

fn without_incomplete(text: &str) -> &str {
    let mut complete = text;
    for _ in 0..INCOMPLETE_BYTES {
        complete = complete.strip_suffix(REPLACEMENT).unwrap_or(complete);
    }
    complete
}

/// The rest of `text` from the first character in which it differs from `emitted`.
fn after<'a>(emitted: &str, text: &'a str) -> &'a str {
    // By characters, because the common bytes of two texts can end inside a character.
    let common: usize = emitted
        .chars()
        .zip(text.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    &text[common..]
}
