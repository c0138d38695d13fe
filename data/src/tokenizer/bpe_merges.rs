//! The merges of a vocabulary: the training step of byte-pair encoding (Sennrich et al. 2016).
//!
//! The trainer of the `tokenizers` library is not used. If two different merges spell the same
//! token, it processes equal pairs in the order of randomly seeded hash maps, and its counts
//! overflow at 2^31. Here every choice is by (count, pair), so the same text gives the same
//! vocabulary on every machine.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// Two adjacent tokens.
pub(super) type Pair = (u32, u32);

/// Least number of occurrences of a merged pair. A pair that occurs once would save one token.
const LEAST_COUNT: u64 = 2;

/// The tokens of a vocabulary in the order of their ids, and the merges in the order of use.
#[derive(Debug, Default)]
pub(super) struct Merges {
    /// Text of each token in the byte alphabet, by id.
    pub(super) tokens: Vec<String>,
    /// Pairs of ids, in the order in which they are merged.
    pub(super) pairs: Vec<Pair>,
}

/// Words as sequences of tokens, with the counts and indices that a merge changes.
pub(super) struct MergeLearner {
    words: Vec<Vec<u32>>,
    word_counts: Vec<u64>,
    pair_counts: HashMap<Pair, u64>,
    /// Words in which a pair occurs or occurred earlier.
    places: HashMap<Pair, Vec<u32>>,
    /// The largest count first, then the smallest pair. Counts can be out of date; they are checked
    /// on removal, because a heap cannot update an entry.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl MergeLearner {
    /// Starts from words as single-byte tokens, with their numbers of occurrences.
    pub(super) fn new(words: impl Iterator<Item = (Vec<u32>, u64)>) -> Self {
        let (words, word_counts) = words.unzip();
        let mut learner = Self {
            words,
            word_counts,
            pair_counts: HashMap::new(),
            places: HashMap::new(),
            queue: BinaryHeap::new(),
        };
        learner.count_pairs();
        learner
    }

    /// Merges until there are `vocab_size` tokens or no pair occurs twice.
    pub(super) fn learn(mut self, alphabet: Vec<String>, vocab_size: usize) -> Merges {
        let mut ids: HashMap<String, u32> =
            alphabet.iter().enumerate().map(|(id, token)| (token.clone(), id as u32)).collect();
        let mut merges = Merges { tokens: alphabet, pairs: Vec::new() };
        while merges.tokens.len() < vocab_size {
            let Some(pair) = self.most_frequent() else { break };
            let token =
                format!("{}{}", merges.tokens[pair.0 as usize], merges.tokens[pair.1 as usize]);
            // `a` + `bc` can spell the same token as an earlier `ab` + `c`; both then share one id.
            let id = *ids.entry(token).or_insert_with_key(|token| {
                merges.tokens.push(token.clone());
                merges.tokens.len() as u32 - 1
            });
            merges.pairs.push(pair);
            self.merge(pair, id);
        }
        merges
    }

    fn count_pairs(&mut self) {
        for (index, (word, &count)) in self.words.iter().zip(&self.word_counts).enumerate() {
            for pair in pairs(word) {
                *self.pair_counts.entry(pair).or_default() += count;
                self.places.entry(pair).or_default().push(index as u32);
            }
        }
        self.queue =
            self.pair_counts.iter().map(|(&pair, &count)| (count, Reverse(pair))).collect();
    }

    fn most_frequent(&mut self) -> Option<Pair> {
        while let Some((count, Reverse(pair))) = self.queue.pop() {
            let current = self.pair_counts.get(&pair).copied().unwrap_or(0);
            if count == current && count >= LEAST_COUNT {
                return Some(pair);
            }
            // Only a count that fell can be out of date: `merge` queues every pair that grew.
            if current < count && current >= LEAST_COUNT {
                self.queue.push((current, Reverse(pair)));
            }
        }
        None
    }

    fn merge(&mut self, pair: Pair, id: u32) {
        let mut places = self.places.remove(&pair).unwrap_or_default();
        // A word is listed once for each occurrence of the pair.
        places.sort_unstable();
        places.dedup();
        let mut grown = BTreeSet::new();
        for index in places {
            self.merge_in_word(index, pair, id, &mut grown);
        }
        for pair in grown {
            self.queue.push((self.pair_counts[&pair], Reverse(pair)));
        }
    }

    /// Replaces the pair in one word. Words are short, so all of their pairs are counted again.
    fn merge_in_word(&mut self, index: u32, pair: Pair, id: u32, grown: &mut BTreeSet<Pair>) {
        let count = self.word_counts[index as usize];
        let old = std::mem::take(&mut self.words[index as usize]);
        let new = replaced(&old, pair, id);
        for pair in pairs(&old) {
            *self.pair_counts.entry(pair).or_default() -= count;
        }
        for pair in pairs(&new) {
            *self.pair_counts.entry(pair).or_default() += count;
            if pair.0 == id || pair.1 == id {
                self.places.entry(pair).or_default().push(index);
                grown.insert(pair);
            }
        }
        self.words[index as usize] = new;
    }
}

fn pairs(word: &[u32]) -> impl Iterator<Item = Pair> {
    word.windows(2).map(|pair| (pair[0], pair[1]))
}

fn replaced(word: &[u32], pair: Pair, id: u32) -> Vec<u32> {
    let mut merged = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, tail @ ..] = rest {
        if tail.first().is_some_and(|second| (*first, *second) == pair) {
            merged.push(id);
            rest = &tail[1..];
        } else {
            merged.push(*first);
            rest = tail;
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(words: &[(&[u32], u64)], vocab_size: usize) -> Merges {
        let alphabet = ["a", "b", "c", "d"].map(String::from).to_vec();
        MergeLearner::new(words.iter().map(|(word, count)| (word.to_vec(), *count)))
            .learn(alphabet, vocab_size)
    }

    #[test]
    fn frequent_pairs_come_first_and_ties_go_to_small_ids() {
        let merges = learn(&[(&[2, 3], 5), (&[0, 1], 5), (&[1, 2], 9)], 7);
        assert_eq!(merges.tokens[4..], ["bc", "ab", "cd"]);
    }

    #[test]
    fn each_spelling_is_one_token() {
        // "ab" then "abc" in the first word; "bc" then again "abc" in the second.
        let merges = learn(
            &[(&[0, 1, 3], 9), (&[0, 1, 2], 8), (&[3, 1, 2], 20), (&[3, 0, 3, 1, 2, 0], 2)],
            40,
        );
        let distinct: BTreeSet<_> = merges.tokens.iter().collect();
        assert_eq!(distinct.len(), merges.tokens.len());
    }

    #[test]
    fn runs_merge_from_the_left() {
        assert_eq!(replaced(&[0, 0, 0], (0, 0), 9), [9, 0]);
    }
}
