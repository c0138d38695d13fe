//! Whose delta is a copy of whose: how many of the places that they move are the same.
//!
//! Independent deltas that send 64 of 4096 places share 1.6 % of them, deltas of peers that learn from other data of the
//! same kind some more. Values are not looked at, so a copy that is encoded anew stays a copy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sketch::Sketch;
use crate::gauntlet::config::FieldProblem;
use crate::gauntlet::judge::Gauntlet;
use crate::gauntlet::observations::Observations;
use crate::gauntlet::scoring::Age;
use crate::primitives::{PeerId, Round};

/// From which share of common places on two deltas are too much alike; each level is at least the one before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimilarityConfig {
    /// Suspicious.
    pub high: f64,
    /// Surely no chance.
    pub max: f64,
    /// A copy.
    pub mega: f64,
    /// A copy in the first rounds, too, where all peers move the same places, and between a peer's own deltas. Not published.
    pub verbatim: f64,
    /// The first round in which the other levels hold.
    pub settled: u32,
}

impl Default for SimilarityConfig {
    fn default() -> Self {
        Self { high: 0.4, max: 0.5, mega: 0.6, verbatim: 0.9, settled: 20 }
    }
}

/// How much alike two deltas are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Similarity {
    /// Suspicious.
    High,
    /// Surely no chance.
    Max,
    /// A copy.
    Mega,
}

impl SimilarityConfig {
    pub(crate) fn check(&self) -> Result<(), FieldProblem> {
        let levels = [0.0, self.high, self.max, self.mega, self.verbatim, 1.0];
        match levels.is_sorted() && self.high > 0.0 {
            true => Ok(()),
            false => Err((
                "overlap",
                format!("{self:?}"),
                "its levels must ascend from above 0 to at most 1",
            )),
        }
    }

    /// What an overlap means for a peer in a round; nothing, if it may be chance.
    ///
    /// In the first rounds a delta that is much like another one is suspicious if its peer did not learn it from its own data.
    fn likeness(
        &self,
        round: Round,
        overlap: &SimilarPair,
        is_author: Option<bool>,
    ) -> Option<Similarity> {
        let share = overlap.share();
        if round.0 < self.settled || overlap.one == overlap.other {
            let is_suspicious = share >= self.mega && is_author == Some(false);
            let is_copy = (share >= self.verbatim).then_some(Similarity::Mega);
            return is_copy.or(is_suspicious.then_some(Similarity::High));
        }
        let levels = [
            (self.mega, Similarity::Mega),
            (self.max, Similarity::Max),
            (self.high, Similarity::High),
        ];
        levels.into_iter().find(|(level, _)| share >= *level).map(|(_, likeness)| likeness)
    }
}

/// Two deltas that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimilarPair {
    /// Whose delta of the round it is.
    pub one: PeerId,
    /// Whose delta is like it: the higher id, if both are of the round.
    pub other: PeerId,
    /// Of which round the other's delta is.
    pub age: Age,
    /// Places that both move.
    pub shared: u64,
    /// Places that they could share.
    pub total: u64,
    /// Whose commitment was seen first; nothing, if they came together.
    pub first: Option<PeerId>,
}

impl SimilarPair {
    /// What of two deltas is the same, from 0 to 1.
    pub fn share(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.shared as f64 / self.total as f64 }
    }

    /// Nothing, if the sketches share less than `lowest`.
    fn between(one: &Sketch, other: &Sketch, lowest: f64) -> Option<(u64, u64)> {
        let pairs = || one.chunks().iter().zip(other.chunks());
        let shared: u64 = pairs().map(|(one, other)| num_common(one, other)).sum();
        let total: u64 = pairs().map(|(one, other)| one.len().min(other.len()) as u64).sum();
        (total > 0 && shared as f64 >= lowest * total as f64).then_some((shared, total))
    }
}

/// How many numbers two ascending lists have in common.
fn num_common(one: &[u32], other: &[u32]) -> u64 {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut count = 0;
    while let (Some(left), Some(right)) = (one.peek(), other.peek()) {
        let order = left.cmp(right);
        count += u64::from(order.is_eq());
        one.next_if(|_| order.is_le());
        other.next_if(|_| order.is_ge());
    }
    count
}

impl Gauntlet {
    /// All pairs that are alike: of this round's deltas with each other and with the round before's.
    ///
    /// `first` says which of two peers committed first. The cost is that of the shortlist squared, however many peers
    /// there are.
    pub fn overlaps(
        &self,
        current: &BTreeMap<PeerId, Sketch>,
        earlier: &BTreeMap<PeerId, Sketch>,
        first: impl Fn(PeerId, PeerId) -> Option<PeerId>,
    ) -> Vec<SimilarPair> {
        let lowest = self.config.overlap.high;
        let mut all = Vec::new();
        for (one, sketch) in current {
            let alike = |(other, theirs): (&PeerId, &Sketch)| {
                SimilarPair::between(sketch, theirs, lowest)
                    .map(|(shared, total)| (*other, shared, total))
            };
            let later = current.range(*one..).filter(|(other, _)| *other != one);
            all.extend(later.filter_map(alike).map(|(other, shared, total)| {
                let first = first(*one, other);
                SimilarPair { one: *one, other, age: Age::Current, shared, total, first }
            }));
            all.extend(earlier.iter().filter_map(alike).map(|(other, shared, total)| {
                SimilarPair {
                    one: *one,
                    other,
                    age: Age::Previous,
                    shared,
                    total,
                    first: Some(other),
                }
            }));
        }
        all.sort_by_key(SimilarPair::place);
        all
    }

    /// Who copied, and how much at the most.
    pub(crate) fn copies(&self, inputs: &Observations) -> BTreeMap<PeerId, Similarity> {
        let mut copies = BTreeMap::new();
        for overlap in &inputs.overlaps {
            for peer in offenders(overlap, inputs) {
                let is_author = is_author(peer, inputs);
                let Some(likeness) = self.config.overlap.likeness(inputs.round, overlap, is_author)
                else {
                    continue;
                };
                let most = copies.entry(peer).or_insert(likeness);
                *most = likeness.max(*most);
            }
        }
        copies
    }
}

impl SimilarPair {
    /// Where it stands in a list.
    pub(crate) fn place(&self) -> (PeerId, PeerId, Age) {
        (self.one, self.other, self.age)
    }
}

/// Whoever was not first. If they came together, who did not learn it from his own data; if that says nothing, both.
fn offenders(overlap: &SimilarPair, inputs: &Observations) -> Vec<PeerId> {
    let SimilarPair { one, other, .. } = *overlap;
    if overlap.age == Age::Previous {
        return vec![one];
    }
    if let Some(first) = overlap.first {
        return [one, other].into_iter().filter(|peer| *peer != first).collect();
    }
    match (is_author(one, inputs), is_author(other, inputs)) {
        (Some(true), Some(false)) => vec![other],
        (Some(false), Some(true)) => vec![one],
        _ => vec![one, other],
    }
}

/// Whether a peer learned its delta from its own data, if that was measured.
fn is_author(peer: PeerId, inputs: &Observations) -> Option<bool> {
    inputs.measurements.get(&peer).map(|measurement| measurement.favours_own())
}
