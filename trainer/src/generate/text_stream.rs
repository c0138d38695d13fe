//! Text out of a model, as it comes.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use covey_data::tokenizer::Tokenizer;
use covey_model::generation::{Generator, TokenSampler};
use covey_model::network::{Decoder, Weights};

use crate::system::error::UsageError;

/// A model that writes.
#[derive(Debug)]
pub struct TextStream<'a> {
    /// The network.
    pub decoder: &'a Decoder,
    /// Its weights.
    pub weights: &'a Weights,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// How the next token is chosen.
    pub sampler: TokenSampler,
    /// Tokens that end a text, besides the tokenizer's own.
    pub ends: &'a [u32],
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model ended it.
    EndOfText,
    /// It has as many tokens as were asked for.
    Length,
    /// The model has no more positions.
    Positions,
    /// Ctrl-C.
    Interrupted,
}

impl TextStream<'_> {
    /// Continues `prompt` by at most `max_tokens` tokens, handing each piece of text to `emit` as soon as it is whole.
    ///
    /// An empty prompt stands for the beginning of a text.
    ///
    /// # Errors
    /// A prompt that is longer than the model's positions or of a foreign vocabulary, or a failing `emit`.
    pub fn write(
        &self,
        prompt: &str,
        max_tokens: usize,
        interrupt: &AtomicBool,
        mut emit: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<StopReason> {
        let mut tokens = self.prompt_tokens(prompt)?;
        let mut generation = Generator::new(self.decoder, self.weights);
        let mut stream = self.tokenizer.decode_stream();
        let mut ending = StopReason::Length;
        for _ in 0..max_tokens {
            if interrupt.load(Ordering::SeqCst) {
                ending = StopReason::Interrupted;
                break;
            }
            if generation.position() > 0
                && generation.position() == self.decoder.config().max_positions
            {
                ending = StopReason::Positions;
                break;
            }
            let logits = generation.read(&tokens).context("the model cannot read the text")?;
            let next = self.sampler.choose(&logits, generation.position() as u64)?;
            if self.ends.contains(&next) || self.tokenizer.end_of_text() == Some(next) {
                ending = StopReason::EndOfText;
                break;
            }
            emit(&stream.push(next)?)?;
            tokens = vec![next];
        }
        emit(&stream.finish()?)?;
        Ok(ending)
    }

    fn prompt_tokens(&self, prompt: &str) -> anyhow::Result<Vec<u32>> {
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
        let start = self.tokenizer.end_of_text();
        let start = start
            .ok_or_else(|| UsageError::new("this tokenizer has no token to start a text with"))?;
        Ok(vec![start])
    }
}
