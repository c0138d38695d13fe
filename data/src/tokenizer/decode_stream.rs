//! Text from tokens while they are still being generated.

use super::tokenizer::Tokenizer;
use crate::error::DataError;

/// What a decoder shows for bytes that are no character, or not yet.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// An unfinished character has at most this many bytes, each shown as one replacement by some decoders.
const UNFINISHED_BYTES: usize = 3;

/// Emits the text of one token after another, never a part of a character.
///
/// - The emitted parts, with [`DecodeStream::finish`], are the text that [`Tokenizer::decode`] gives for all tokens.
/// - Bytes that may still become a character are held back until they do or cannot any more.
#[derive(Debug)]
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    /// The tokens whose text is not all out, after those of the last complete text: some decoders drop the space
    /// before the very first token, so a token is always decoded behind another.
    tokens: Vec<u32>,
    /// How many of `tokens` are that context.
    context: usize,
    /// The text of `tokens` that is already out.
    emitted: String,
}

impl<'a> DecodeStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, tokens: Vec::new(), context: 0, emitted: String::new() }
    }

    /// The text that one more token completes; empty while a character is unfinished.
    pub fn push(&mut self, token: u32) -> Result<String, DataError> {
        self.tokens.push(token);
        let text = self.tokenizer.decode(&self.tokens)?;
        let complete = without_unfinished(&text);
        let part = after(&self.emitted, complete).to_string();
        if complete.len() < text.len() {
            self.emitted = complete.to_string();
        } else {
            self.forget_context()?;
        }
        Ok(part)
    }

    /// The text still held back, at the end of all tokens.
    pub fn finish(self) -> Result<String, DataError> {
        let text = self.tokenizer.decode(&self.tokens)?;
        Ok(after(&self.emitted, &text).to_string())
    }

    /// Keeps only the tokens since the last complete text, so that each step costs the same.
    fn forget_context(&mut self) -> Result<(), DataError> {
        self.tokens.drain(..self.context);
        self.context = self.tokens.len();
        self.emitted = self.tokenizer.decode(&self.tokens)?;
        Ok(())
    }
}

fn without_unfinished(text: &str) -> &str {
    let mut complete = text;
    for _ in 0..UNFINISHED_BYTES {
        complete = complete.strip_suffix(REPLACEMENT).unwrap_or(complete);
    }
    complete
}

/// What `text` has beyond `emitted`, from the first character in which they differ.
fn after<'a>(emitted: &str, text: &'a str) -> &'a str {
    let common: usize = emitted
        .chars()
        .zip(text.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    &text[common..]
}
