//! Text generation, with output as soon as it is complete.

use std::sync::atomic::{AtomicBool, Ordering};

use covey_data::tokenizer::Tokenizer;
use covey_model::generation::{Generator, TokenSampler};
use covey_model::network::{Decoder, Weights};

use crate::system::error::{Context, Result, UsageError};

/// A model with tokenizer and sampler, ready to continue a prompt.
#[derive(Debug)]
pub struct TextStream<'a> {
    /// The decoder.
    pub decoder: &'a Decoder,
    /// The weights of the decoder.
    pub weights: &'a Weights,
    /// The tokenizer of the model.
    pub tokenizer: &'a Tokenizer,
    /// Chooses the next token.
    pub sampler: TokenSampler,
    /// Tokens that end a text, in addition to the end-of-text token of the tokenizer.
    pub ends: &'a [u32],
}

/// The reason for the end of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model generated an end token.
    EndOfText,
    /// The requested number of tokens was reached.
    Length,
    /// The last position of the model was reached.
    Positions,
    /// The user interrupted the generation.
    Interrupted,
}

impl TextStream<'_> {
    /// Continues `prompt` by at most `max_tokens` tokens.
    ///
    /// Calls `emit` with each piece of text as soon as its UTF-8 is complete. An empty prompt is
    /// the beginning of a text.
    ///
    /// # Errors
    /// A prompt that is longer than the positions of the model or outside its vocabulary, and
    /// errors of `emit`.
    pub fn write(
        &self,
        prompt: &str,
        max_tokens: usize,
        interrupt: &AtomicBool,
        mut emit: impl FnMut(&str) -> Result<()>,
    ) -> Result<StopReason> {
        let mut tokens = self.prompt_tokens(prompt)?;
        let mut generator = Generator::new(self.decoder, self.weights);
        let mut stream = self.tokenizer.decode_stream();
        let mut reason = StopReason::Length;
        for _ in 0..max_tokens {
            if interrupt.load(Ordering::SeqCst) {
                reason = StopReason::Interrupted;
                break;
            }
            let position = generator.position();
            if position > 0 && position == self.decoder.config().max_positions {
                reason = StopReason::Positions;
                break;
            }
            let logits = generator.read(&tokens).context("the model cannot read the text")?;
            let next = self.sampler.choose(&logits, generator.position() as u64)?;
            if self.ends.contains(&next) || self.tokenizer.end_of_text() == Some(next) {
                reason = StopReason::EndOfText;
                break;
            }
            emit(&stream.push(next)?)?;
            // The generator caches keys and values, so only the new token is read.
            tokens = vec![next];
        }
        // A text may end in the middle of a character.
        emit(&stream.finish()?)?;
        Ok(reason)
    }

    /// The tokens of `prompt`, at least one.
    fn prompt_tokens(&self, prompt: &str) -> Result<Vec<u32>> {
        let tokens = self.tokenizer.encode(prompt)?;
        let (length, positions) = (tokens.len(), self.decoder.config().max_positions);
        if length > positions {
            let problem = UsageError::new(format!(
                "the prompt has {length} tokens, but the model has {positions} positions"
            ));
            return Err(problem.with_hint("shorten the prompt").into());
        }
        if !tokens.is_empty() {
            return Ok(tokens);
        }
        // The end-of-text token separates documents in the training data.
        let start = self.tokenizer.end_of_text().ok_or_else(|| {
            UsageError::new("the prompt is empty, and the tokenizer has no end-of-text token")
                .with_hint("pass a prompt")
        })?;
        Ok(vec![start])
    }
}
