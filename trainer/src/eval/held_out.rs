//! Cross-entropy of a model on held-out windows.

use crate::system::error::Hint;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use covey_data::dataset::{Dataset, HeldOutWindows};
use covey_data::error::DataError;
use covey_model::error::BatchError;
use covey_model::network::{Decoder, TokenBatch, Weights};

/// Sum of losses over held-out windows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Predicted tokens.
    pub tokens: u64,
    /// Bytes of text that these tokens represent.
    pub bytes: u64,
    /// Sum of the cross-entropies of these tokens, in nats.
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

    /// Bits per byte of text. Unlike the loss, it is comparable between tokenizers.
    pub fn bits_per_byte(&self) -> f64 {
        self.total / std::f64::consts::LN_2 / self.bytes as f64
    }
}

/// An evaluation that could not be completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A dataset could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The windows do not fit the model.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The dataset has no held-out split.
    #[error("{} has no held-out text", folder.display())]
    NothingHeldOut {
        /// The dataset.
        folder: PathBuf,
    },
    /// The user interrupted the evaluation.
    #[error("interrupted before all windows were scored")]
    Interrupted,
}

impl Hint for EvaluationError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Data(error) => error.hint(),
            Self::Batch(error) => error.hint(),
            Self::NothingHeldOut { .. } => Some(
                "prepare the text into another folder with `--held-out` above 0, or prepare more \
                 text"
                    .into(),
            ),
            Self::Interrupted => None,
        }
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::Data(error) if error.is_usage())
    }
}

/// A model that can score windows of tokens.
pub trait LanguageModel {
    /// Number of devices that score windows in parallel.
    fn members(&self) -> usize;

    /// Sum of the cross-entropies of all tokens except the first of each window, in nats.
    ///
    /// `tokens` contains `windows` windows of equal length.
    ///
    /// # Errors
    /// [`BatchError`] for windows that do not fit the model.
    fn loss(&mut self, tokens: &[u32], windows: usize) -> Result<f64, BatchError>;
}

/// A model with its weights on one device.
impl LanguageModel for (&Decoder, &Weights) {
    fn members(&self) -> usize {
        1
    }

    fn loss(&mut self, tokens: &[u32], windows: usize) -> Result<f64, BatchError> {
        let (decoder, weights) = *self;
        Ok(decoder.loss(weights, &TokenBatch::new(tokens, windows, decoder.config())?))
    }
}

/// Held-out windows of one or more datasets.
#[derive(Clone, Debug)]
pub struct HeldOut {
    parts: Vec<HeldOutWindows>,
    /// Bytes of text for each token ID.
    byte_lengths: Vec<u32>,
    /// Windows per device and forward pass.
    sequences: usize,
}

impl HeldOut {
    /// At most `most` windows of `length` tokens, in equal parts from all `datasets`, for scoring
    /// in batches of `sequences`. The datasets must have the same tokenizer.
    ///
    /// Windows are shorter if the held-out split of a dataset is shorter than one window.
    ///
    /// # Errors
    /// [`EvaluationError`] if a dataset has no held-out split, or the tokenizer is damaged.
    pub fn new(
        datasets: &[Dataset],
        length: usize,
        most: u64,
        sequences: usize,
    ) -> Result<Self, EvaluationError> {
        // Rounded up, so each dataset has at least one window.
        let share = most.div_ceil(datasets.len().max(1) as u64);
        let parts = datasets.iter().map(|dataset| held_out_of(dataset, length, share));
        let parts = parts.collect::<Result<_, _>>()?;
        let byte_lengths = datasets
            .first()
            .map(Dataset::tokenizer)
            .transpose()?
            .map_or_else(Vec::new, |tokenizer| tokenizer.byte_lengths());
        // A batch of 0 windows would look like the end of the data.
        Ok(Self { parts, byte_lengths, sequences: sequences.max(1) })
    }

    /// Number of windows.
    pub fn count(&self) -> u64 {
        self.parts.iter().map(HeldOutWindows::count).sum()
    }

    /// Scores all windows, and calls `progress` with the number of completed windows.
    ///
    /// # Errors
    /// [`EvaluationError`] if a window cannot be read or `interrupt` is set.
    pub fn score(
        &self,
        reader: &mut impl LanguageModel,
        interrupt: &AtomicBool,
        mut progress: impl FnMut(u64),
    ) -> Result<Score, EvaluationError> {
        let mut score = Score::default();
        let mut done = 0;
        // One dataset after the other: a batch needs windows of one length.
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
        // Token IDs beyond the tokenizer, which pad the vocabulary, have no text.
        self.byte_lengths.get(token as usize).copied().map_or(0, u64::from)
    }
}

/// The held-out windows of one dataset, shortened if the split is shorter than one window.
fn held_out_of(
    dataset: &Dataset,
    length: usize,
    most: u64,
) -> Result<HeldOutWindows, EvaluationError> {
    match dataset.held_out_windows(length, most) {
        Err(DataError::SequenceTooLong { longest, .. }) if longest > 1 => {
            // A window of n tokens needs one more, the last target.
            Ok(dataset.held_out_windows(longest as usize - 1, most)?)
        }
        Err(DataError::SequenceTooLong { .. }) => {
            Err(EvaluationError::NothingHeldOut { folder: dataset.folder().to_owned() })
        }
        windows => Ok(windows?),
    }
}
