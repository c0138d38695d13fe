//! Which text is held out.
//!
//! A document goes to the held-out split by a hash of its own bytes, so equal documents end up on the same side and
//! the choice does not depend on order. To be sure that both splits get something, of the first documents the one with
//! the smallest hash is always held out and the one with the largest never. A corpus of only a few documents is
//! divided inside each: the end of every document is held out.

use crate::dataset::Split;
use crate::error::DataError;

/// With fewer documents than this each of them is cut in two.
const FEW_DOCUMENTS: usize = 20;

/// The rule that sends text to one split or the other.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenSplit {
    /// Everything is for training.
    TrainOnly,
    /// The last part of each document is held out.
    Tails { fraction: f64 },
    /// Whole documents are held out.
    Documents { fraction: f64, seed: u64, held_out: u64, train: u64 },
}

impl TokenSplit {
    /// Looks at the first documents, which must be those with text, and settles the rule.
    pub(super) fn plan(
        documents: impl Iterator<Item = Result<String, DataError>>,
        fraction: f64,
        seed: u64,
    ) -> Result<Self, DataError> {
        if fraction == 0.0 {
            return Ok(Self::TrainOnly);
        }
        let hashes: Result<Vec<u64>, DataError> =
            documents.take(FEW_DOCUMENTS).map(|text| Ok(hash(seed, &text?))).collect();
        let hashes = hashes?;
        if hashes.len() < FEW_DOCUMENTS {
            return Ok(Self::Tails { fraction });
        }
        let numbered = || (0u64..).zip(&hashes).map(|(number, hash)| (hash, number));
        let held_out = numbered().min().map_or(0, |(_, number)| number);
        let train = numbered().max().map_or(0, |(_, number)| number);
        Ok(Self::Documents { fraction, seed, held_out, train })
    }

    /// The parts of document number `number` and where they go; never an empty part.
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

/// Where the held-out end starts: at the last white space before it, if the end's first half has one.
fn tail_start(text: &str, fraction: f64) -> usize {
    let tail = ((text.len() as f64 * fraction).ceil() as usize).min(text.len());
    let start = text.floor_char_boundary(text.len() - tail);
    let searched = text.floor_char_boundary(start.saturating_sub(tail / 2));
    text[searched..start].rfind(char::is_whitespace).map_or(start, |place| searched + place)
}

fn threshold(fraction: f64) -> u64 {
    (fraction * 2f64.powi(64)) as u64
}

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
        fn tails_lose_nothing(text in "\\PC{1,60}", fraction in 0.001f64..0.5) {
            let parts = TokenSplit::Tails { fraction }.divide(0, &text);
            prop_assert_eq!(parts.iter().map(|(_, part)| *part).collect::<String>(), text);
        }
    }

    #[test]
    fn both_splits_get_a_document() {
        for count in [20, 21, 50] {
            for texts in [texts(count), vec!["same".to_string(); count]] {
                let division = plan(&texts, 0.001);
                let splits: Vec<_> = texts
                    .iter()
                    .zip(0..)
                    .map(|(text, number)| division.divide(number, text)[0].0)
                    .collect();
                assert!(splits.contains(&Split::Train) && splits.contains(&Split::HeldOut));
            }
        }
    }

    #[test]
    fn the_share_is_the_fraction() {
        let texts = texts(20_000);
        let division = plan(&texts, 0.05);
        let held_out =
            |(number, text): (u64, &String)| division.divide(number, text)[0].0 == Split::HeldOut;
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
