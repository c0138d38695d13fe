//! Copies: the offender of each similar pair, and how serious the similarity is.

use std::collections::BTreeMap;

use super::similar_pair::SimilarPair;
use crate::gauntlet::config::SimilarityConfig;
use crate::gauntlet::observations::Observations;
use crate::gauntlet::scoring::{Age, Measurement};
use crate::primitives::{PeerId, Round};

/// The level of similarity between two deltas, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Similarity {
    /// Suspicious.
    High,
    /// Not explained by chance.
    Max,
    /// A copy.
    Mega,
}

/// Returns the offenders of all similar pairs, each with its highest level.
pub(crate) fn copies(
    config: &SimilarityConfig,
    inputs: &Observations,
) -> BTreeMap<PeerId, Similarity> {
    let mut copies = BTreeMap::new();
    for pair in &inputs.overlaps {
        for peer in offenders(pair, inputs) {
            let is_author = passes_own_data_test(peer, inputs);
            let Some(level) = level_of(config, inputs.round, pair, is_author) else { continue };
            let highest = copies.entry(peer).or_insert(level);
            *highest = level.max(*highest);
        }
    }
    copies
}

/// Returns the level of a similar pair for one of its peers, or `None` if it may be chance.
fn level_of(
    config: &SimilarityConfig,
    round: Round,
    pair: &SimilarPair,
    is_author: Option<bool>,
) -> Option<Similarity> {
    let share = pair.share();
    // In the first rounds all peers change the same positions, and two deltas of one peer are often
    // similar. The lower levels prove nothing in these cases.
    if round.0 < config.settled || pair.one == pair.other {
        let is_suspicious = share >= config.mega && is_author == Some(false);
        let is_copy = (share >= config.verbatim).then_some(Similarity::Mega);
        return is_copy.or(is_suspicious.then_some(Similarity::High));
    }
    let levels = [
        (config.mega, Similarity::Mega),
        (config.max, Similarity::Max),
        (config.high, Similarity::High),
    ];
    levels.into_iter().find(|(limit, _)| share >= *limit).map(|(_, level)| level)
}

/// Returns the peer that committed later. If neither precedes the other, the peer that fails the
/// own-data test; if the test does not decide, both.
fn offenders(pair: &SimilarPair, inputs: &Observations) -> Vec<PeerId> {
    let SimilarPair { one, other, .. } = *pair;
    if pair.age == Age::Previous {
        return vec![one];
    }
    if let Some(first) = pair.first {
        return [one, other].into_iter().filter(|peer| *peer != first).collect();
    }
    match (passes_own_data_test(one, inputs), passes_own_data_test(other, inputs)) {
        (Some(true), Some(false)) => vec![other],
        (Some(false), Some(true)) => vec![one],
        // If neither passes, both may be copies of a third delta.
        _ => vec![one, other],
    }
}

/// Returns the result of the own-data test, or `None` if the peer's delta was not measured.
fn passes_own_data_test(peer: PeerId, inputs: &Observations) -> Option<bool> {
    inputs.measurements.get(&peer).map(Measurement::favours_own)
}
