//! Which pairs of tokens to merge: the learning half of byte-pair encoding (Sennrich et al. 2016).
//!
//! The trainer of the `tokenizers` library is not used: when two different merges spell the same token, the order in
//! which it handles equal pairs depends on randomly seeded hash maps, and its counts overflow at 2^31. Here every
//! choice is by (count, pair), so the same text gives the same vocabulary everywhere.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// Two neighbouring tokens.
pub(super) type Pair = (u32, u32);

/// A pair must occur this often to earn a token.
const LEAST_COUNT: u64 = 2;

/// The tokens of a vocabulary in order of id, and the merges in order of use.
#[derive(Debug, Default)]
pub(super) struct Merges {
    /// Text of each token in the byte alphabet, by id.
    pub(super) tokens: Vec<String>,
    /// Pairs of ids to merge, first one first.
    pub(super) pairs: Vec<Pair>,
}

/// Words as sequences of tokens, with everything that changes when two tokens become one.
pub(super) struct MergeLearner {
    words: Vec<Vec<u32>>,
    word_counts: Vec<u64>,
    pair_counts: HashMap<Pair, u64>,
    /// Words in which a pair occurs or once did.
    places: HashMap<Pair, Vec<u32>>,
    /// Largest count first, then the smallest pair. Counts may be out of date and are checked when they come up.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl MergeLearner {
    /// Starts with words of single-byte tokens and their numbers of occurrences.
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
            // `a` + `bc` may spell a token that `ab` + `c` made before: then they share it.
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
            // Counts only fall behind the queue, growing pairs are queued again by `merge`.
            if current < count && current >= LEAST_COUNT {
                self.queue.push((current, Reverse(pair)));
            }
        }
        None
    }

    fn merge(&mut self, pair: Pair, id: u32) {
        let mut places = self.places.remove(&pair).unwrap_or_default();
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

    /// Replaces the pair in one word; words are short, so all their pairs are simply counted anew.
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
    fn one_spelling_is_one_token() {
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
