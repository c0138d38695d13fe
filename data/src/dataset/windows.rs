//! A split cut into sequences of equal length.

use std::sync::Arc;

use super::shard::Shard;
use crate::error::DataError;
use crate::io::FileDigest;

/// The windows of one split, numbered through all shards: `length` tokens and the one that follows.
///
/// Window i of a shard covers its tokens from `i * length` to `(i + 1) * length`, both included.
/// Every token but the first of a shard is therefore predicted exactly once. Tokens at the end of a
/// shard that fill no window are left out.
#[derive(Debug, Clone)]
pub struct Windows {
    /// Each shard with the number of its first window.
    shards: Arc<[(u64, Arc<Shard>)]>,
    length: usize,
    count: u64,
    dataset: FileDigest,
}

impl Windows {
    pub(crate) fn new(shards: Vec<Arc<Shard>>, length: usize, dataset: FileDigest) -> Self {
        let mut count = 0;
        let numbered = shards.into_iter().map(|shard| {
            let first = count;
            // The last window needs one more token as its last target.
            count += shard.tokens.saturating_sub(1) / length as u64;
            (first, shard)
        });
        Self { shards: numbered.collect(), length, count, dataset }
    }

    /// Number of windows, at least one.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Tokens in a window, without the one that follows it.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Digest of the dataset of these windows.
    pub fn dataset(&self) -> FileDigest {
        self.dataset
    }

    /// Appends the `length` + 1 tokens of one window to `tokens`.
    pub fn read(&self, index: u64, tokens: &mut Vec<u32>) -> Result<(), DataError> {
        if index >= self.count {
            return Err(DataError::WindowOutOfRange { index, count: self.count });
        }
        // The last shard that starts at or before the window. A shard without windows has the same
        // first number as its successor, so an earlier match could be such a shard.
        let place = self.shards.partition_point(|(first, _)| *first <= index) - 1;
        let (first, shard) = &self.shards[place];
        shard.read_tokens((index - first) * self.length as u64, self.length + 1, tokens)
    }
}
