//! The number of occurrences of each word, from which merges are learned.

use std::collections::HashMap;

use rayon::prelude::*;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::text_chunks::chunks;
use crate::error::DataError;

/// Bytes of text that are counted in one parallel step: 64 chunks, enough for many cores.
const BATCH_BYTES: usize = 16 << 20;

/// Words in the byte alphabet with their number of occurrences.
///
/// Memory grows with the number of distinct words, not with the length of the text.
#[derive(Debug, Default)]
pub(super) struct WordCounts {
    counts: HashMap<String, u64>,
}

impl WordCounts {
    /// Counts the words of all documents.
    pub(super) fn of(
        documents: impl Iterator<Item = Result<String, DataError>>,
    ) -> Result<Self, DataError> {
        let mut counts = Self::default();
        let mut batch = Vec::new();
        let mut bytes = 0;
        for document in documents {
            let document = document?;
            bytes += document.len();
            batch.push(document);
            if bytes >= BATCH_BYTES {
                counts.add(&batch)?;
                batch.clear();
                bytes = 0;
            }
        }
        counts.add(&batch)?;
        Ok(counts)
    }

    /// The words, in no particular order.
    pub(super) fn into_words(self) -> impl Iterator<Item = (String, u64)> {
        self.counts.into_iter()
    }

    fn add(&mut self, documents: &[String]) -> Result<(), DataError> {
        let batch = documents
            .par_iter()
            .flat_map_iter(|document| chunks(document))
            .try_fold(HashMap::new, count_words)
            .try_reduce(HashMap::new, |left, right| Ok(merged(left, right)))?;
        self.counts = merged(std::mem::take(&mut self.counts), batch);
        Ok(())
    }
}

fn count_words(
    mut counts: HashMap<String, u64>,
    chunk: &str,
) -> Result<HashMap<String, u64>, DataError> {
    let mut words = PreTokenizedString::from(chunk);
    // No space before the text, and the pattern of GPT-2: the settings of the written file.
    ByteLevel::new(false, true, true).pre_tokenize(&mut words).map_err(DataError::tokenizer)?;
    for (word, _, _) in words.get_splits(OffsetReferential::Original, OffsetType::None) {
        // Not `entry`, which needs a new `String` for every occurrence; most words are known.
        match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => {
                counts.insert(word.to_string(), 1);
            }
        }
    }
    Ok(counts)
}

fn merged(left: HashMap<String, u64>, right: HashMap<String, u64>) -> HashMap<String, u64> {
    // The smaller map goes into the larger one; a sum does not depend on the order.
    let (mut large, small) = if left.len() < right.len() { (right, left) } else { (left, right) };
    for (word, count) in small {
        *large.entry(word).or_default() += count;
    }
    large
}
