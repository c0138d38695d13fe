//! The choice of the held-out text.
//!
//! A hash of its bytes decides whether a document is held out. Equal documents therefore go to the
//! same split, and the choice does not depend on their order. Among the first documents, the one
//! with the smallest hash is always held out and the one with the largest hash never, so neither
//! split is empty. In a corpus of only a few documents the end of every document is held out.

use crate::dataset::Split;
use crate::error::DataError;

/// With fewer documents than this, each of them is cut in two.
const FEW_DOCUMENTS: usize = 20;

/// The rule that assigns text to a split.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenSplit {
    /// All text is for training.
    TrainOnly,
    /// The last part of each document is held out.
    Tails { fraction: f64 },
    /// Whole documents are held out; documents number `held_out` and `train` have a fixed split.
    Documents { fraction: f64, seed: u64, held_out: u64, train: u64 },
}

impl TokenSplit {
    /// Derives the rule from the first documents; all of them must have text.
    pub(super) fn plan(
        documents: impl Iterator<Item = Result<String, DataError>>,
        fraction: f64,
        seed: u64,
    ) -> Result<Self, DataError> {
        if fraction == 0.0 {
            return Ok(Self::TrainOnly);
        }
        let mut numbered = Vec::new();
        for (text, number) in documents.take(FEW_DOCUMENTS).zip(0u64..) {
            numbered.push((hash(seed, &text?), number));
        }
        if numbered.len() < FEW_DOCUMENTS {
            return Ok(Self::Tails { fraction });
        }
        // With the number as second key, equal documents still give two different numbers.
        let held_out = numbered.iter().min().map_or(0, |(_, number)| *number);
        let train = numbered.iter().max().map_or(0, |(_, number)| *number);
        Ok(Self::Documents { fraction, seed, held_out, train })
    }

    /// The parts of document number `number` with their splits; no part is empty.
    pub(super) fn divide<'a>(&self, number: u64, text: &'a str) -> Vec<(Split, &'a str)> {
        match *self {
            Self::TrainOnly => vec![(Split::Train, text)],
            Self::Tails { fraction } => {
                let (start, end) = text.split_at(tail_start(text, fraction));
                let parts = [(Split::Train, start), (Split::HeldOut, end)];
                parts.into_iter().filter(|(_, part)| !part.is_empty()).collect()
            }
            Self::Documents { fraction, seed, held_out, train } => {
                let chosen = number == held_out || hash(seed, text) < threshold(fraction);
                let split = if chosen && number != train { Split::HeldOut } else { Split::Train };
                vec![(split, text)]
            }
        }
    }
}

/// Byte offset of the held-out end of a text.
///
/// The end begins at the last white space before its nominal start, so no word is cut. It grows by
/// at most half of its length; a longer text without white space is cut between two characters.
fn tail_start(text: &str, fraction: f64) -> usize {
    // Rounded up: every document with text holds out at least one character.
    let tail = ((text.len() as f64 * fraction).ceil() as usize).min(text.len());
    let start = text.floor_char_boundary(text.len() - tail);
    let searched = text.floor_char_boundary(start.saturating_sub(tail / 2));
    text[searched..start].rfind(char::is_whitespace).map_or(start, |place| searched + place)
}

fn threshold(fraction: f64) -> u64 {
    // A power of two is exact, so all machines hold out the same documents.
    (fraction * 2f64.powi(64)) as u64
}

/// The hash of a document. Another seed holds out other documents of the same corpus.
fn hash(seed: u64, text: &str) -> u64 {
    let mut hasher =
        blake3::Hasher::new_derive_key("covey 2026-11-22 choice of held-out documents");
    hasher.update(&seed.to_le_bytes());
    hasher.update(text.as_bytes());
    let digest = hasher.finalize();
    u64::from_le_bytes(std::array::from_fn(|index| digest.as_bytes()[index]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("document {number}")).collect()
    }

    fn plan(texts: &[String], fraction: f64) -> TokenSplit {
        TokenSplit::plan(texts.iter().cloned().map(Ok), fraction, 7).unwrap()
    }

    proptest! {
        #[test]
        fn tails_keep_the_whole_text(text in "\\PC{1,60}", fraction in 0.001f64..0.5) {
            let parts = TokenSplit::Tails { fraction }.divide(0, &text);
            prop_assert_eq!(parts.iter().map(|(_, part)| *part).collect::<String>(), text);
        }
    }

    #[test]
    fn both_splits_get_a_document() {
        for count in [20, 21, 50] {
            for texts in [texts(count), vec!["same".to_string(); count]] {
                let rule = plan(&texts, 0.001);
                let splits: Vec<_> = texts
                    .iter()
                    .zip(0..)
                    .map(|(text, number)| rule.divide(number, text)[0].0)
                    .collect();
                assert!(splits.contains(&Split::Train) && splits.contains(&Split::HeldOut));
            }
        }
    }

    #[test]
    fn the_held_out_share_is_the_fraction() {
        let texts = texts(20_000);
        let rule = plan(&texts, 0.05);
        let held_out =
            |(number, text): (u64, &String)| rule.divide(number, text)[0].0 == Split::HeldOut;
        let count = (0..).zip(&texts).filter(|document| held_out(*document)).count();
        assert!((900..1100).contains(&count), "{count}");
    }

    #[test]
    fn few_documents_are_cut_between_words() {
        let texts = vec!["one two three four five six seven eight nine ten".to_string()];
        let parts = plan(&texts, 0.2).divide(0, &texts[0]);
        assert_eq!(
            parts,
            [
                (Split::Train, "one two three four five six seven"),
                (Split::HeldOut, " eight nine ten")
            ]
        );
    }
}
