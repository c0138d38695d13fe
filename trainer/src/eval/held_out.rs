//! How well a network predicts text that it has not learned from.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use covey_data::dataset::{Dataset, HeldOutWindows};
use covey_data::error::DataError;
use covey_model::error::BatchError;
use covey_model::network::{Decoder, TokenBatch, Weights};

/// Losses over some held-out windows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Tokens predicted.
    pub tokens: u64,
    /// Bytes of text those tokens stand for.
    pub bytes: u64,
    /// Sum of their cross-entropies, in nats.
    pub total: f64,
}

impl Score {
    /// Mean cross-entropy per token, in nats.
    pub fn loss(&self) -> f64 {
        self.total / self.tokens as f64
    }

    /// Exponential of the loss.
    pub fn perplexity(&self) -> f64 {
        self.loss().exp()
    }

    /// Bits per byte of text: comparable between tokenizers.
    pub fn bits_per_byte(&self) -> f64 {
        self.total / std::f64::consts::LN_2 / self.bytes as f64
    }
}

/// Text that could not be scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// It could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It does not fit the network.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// All of it is for training.
    #[error("{} has no held-out text", folder.display())]
    NothingHeldOut {
        /// The dataset.
        folder: PathBuf,
    },
    /// Ctrl-C.
    #[error("interrupted before everything was scored")]
    Interrupted,
}

impl EvaluationError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Data(error) => error.hint(),
            Self::Batch(error) => error.hint(),
            Self::NothingHeldOut { .. } => {
                Some("prepare the text into another folder with a `--held-out` above 0, or prepare more of it".into())
            }
            Self::Interrupted => None,
        }
    }
}

/// A network that can be told what comes next.
pub trait LanguageModel {
    /// How many parts of the windows it reads side by side.
    fn members(&self) -> usize;

    /// Sum of the cross-entropies of `windows` equally long windows, in nats; all tokens but the first of each are
    /// predicted.
    ///
    /// # Errors
    /// [`BatchError`] for windows that the network cannot read.
    fn loss(&mut self, tokens: &[u32], windows: usize) -> Result<f64, BatchError>;
}

/// A whole network on one device.
impl LanguageModel for (&Decoder, &Weights) {
    fn members(&self) -> usize {
        1
    }

    fn loss(&mut self, tokens: &[u32], windows: usize) -> Result<f64, BatchError> {
        let (decoder, weights) = *self;
        Ok(decoder.loss(weights, &TokenBatch::new(tokens, windows, decoder.config())?))
    }
}

/// Held-out windows of one or several data sets with all that is needed to score them.
#[derive(Clone, Debug)]
pub struct HeldOut {
    parts: Vec<HeldOutWindows>,
    byte_lengths: Vec<u32>,
    sequences: usize,
}

impl HeldOut {
    /// At most `most` windows of `length` tokens, as many of each of the `datasets`, scored `sequences` at a time. The
    /// data sets share one tokenizer.
    ///
    /// Windows are shorter where the held-out part is shorter than one.
    ///
    /// # Errors
    /// [`EvaluationError`] if nothing is held out, or the tokenizer is damaged.
    pub fn new(
        datasets: &[Dataset],
        length: usize,
        most: u64,
        sequences: usize,
    ) -> Result<Self, EvaluationError> {
        let share = most.div_ceil(datasets.len().max(1) as u64);
        let parts = datasets.iter().map(|dataset| held_out_of(dataset, length, share));
        let parts = parts.collect::<Result<_, _>>()?;
        let byte_lengths = datasets
            .first()
            .map(Dataset::tokenizer)
            .transpose()?
            .map_or_else(Vec::new, |tokenizer| tokenizer.byte_lengths());
        Ok(Self { parts, byte_lengths, sequences: sequences.max(1) })
    }

    /// Number of windows.
    pub fn count(&self) -> u64 {
        self.parts.iter().map(HeldOutWindows::count).sum()
    }

    /// Scores every window, telling `progress` how many are done.
    ///
    /// # Errors
    /// [`EvaluationError`] if one cannot be read, or `interrupt` is raised.
    pub fn score(
        &self,
        reader: &mut impl LanguageModel,
        interrupt: &AtomicBool,
        mut progress: impl FnMut(u64),
    ) -> Result<Score, EvaluationError> {
        let mut score = Score::default();
        let mut done = 0;
        for part in &self.parts {
            let mut windows = part.clone();
            loop {
                if interrupt.load(Ordering::SeqCst) {
                    return Err(EvaluationError::Interrupted);
                }
                let batch = windows
                    .by_ref()
                    .take(self.sequences * reader.members())
                    .collect::<Result<Vec<_>, _>>()?;
                if batch.is_empty() {
                    break;
                }
                self.score_batch(&batch, reader, &mut score)?;
                done += batch.len() as u64;
                progress(done);
            }
        }
        Ok(score)
    }

    /// Adds equally long windows to the score.
    fn score_batch(
        &self,
        windows: &[Vec<u32>],
        reader: &mut impl LanguageModel,
        score: &mut Score,
    ) -> Result<(), EvaluationError> {
        score.total += reader.loss(&windows.concat(), windows.len())?;
        let targets = windows.iter().flat_map(|window| &window[1..]);
        score.tokens += targets.clone().count() as u64;
        score.bytes += targets.map(|token| self.bytes_of(*token)).sum::<u64>();
        Ok(())
    }

    fn bytes_of(&self, token: u32) -> u64 {
        self.byte_lengths.get(token as usize).copied().map_or(0, u64::from)
    }
}

fn held_out_of(
    dataset: &Dataset,
    length: usize,
    most: u64,
) -> Result<HeldOutWindows, EvaluationError> {
    match dataset.held_out_windows(length, most) {
        Err(DataError::SequenceTooLong { longest, .. }) if longest > 1 => {
            Ok(dataset.held_out_windows(longest as usize - 1, most)?)
        }
        Err(DataError::SequenceTooLong { .. }) => {
            Err(EvaluationError::NothingHeldOut { folder: dataset.folder().to_owned() })
        }
        windows => Ok(windows?),
    }
}
