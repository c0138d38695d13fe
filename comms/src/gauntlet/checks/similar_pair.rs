//! Pairs of similar deltas, found from their sketches.
//!
//! Two independent deltas that send 64 of 4096 positions share 1.6 % of them; deltas of peers that
//! train on similar data share more. Values are not compared, so a copy that is encoded again is
//! still found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sketch::Sketch;
use crate::gauntlet::scoring::Age;
use crate::primitives::PeerId;

/// Two deltas with many common positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimilarPair {
    /// The peer of a delta of this round.
    pub one: PeerId,
    /// The peer of the other delta: the higher ID, if both are of this round.
    pub other: PeerId,
    /// The round of the other delta.
    pub age: Age,
    /// Number of common positions.
    pub shared: u64,
    /// Largest possible number of common positions.
    pub total: u64,
    /// The peer that committed first; `None` if neither precedes the other.
    pub first: Option<PeerId>,
}

impl SimilarPair {
    /// The overlap, from 0 to 1.
    pub fn share(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.shared as f64 / self.total as f64 }
    }

    /// The key by which pairs ascend in a verdict.
    pub(crate) fn place(&self) -> (PeerId, PeerId, Age) {
        (self.one, self.other, self.age)
    }
}

/// Finds all pairs with an overlap of at least `lowest`, of this round's deltas with each other and
/// with those of the previous round, in ascending order.
///
/// `first` returns the peer that committed first. The cost is quadratic in the length of the
/// shortlist, and does not depend on the number of peers.
pub(crate) fn similar_pairs(
    lowest: f64,
    current: &BTreeMap<PeerId, Sketch>,
    earlier: &BTreeMap<PeerId, Sketch>,
    first: impl Fn(PeerId, PeerId) -> Option<PeerId>,
) -> Vec<SimilarPair> {
    let mut all = Vec::new();
    for (one, sketch) in current {
        // Each pair of this round once, and no delta with itself.
        for (other, theirs) in current.range(*one..).filter(|(other, _)| *other != one) {
            let (one, other) = (*one, *other);
            all.extend(overlap(sketch, theirs, lowest).map(|(shared, total)| {
                let first = first(one, other);
                SimilarPair { one, other, age: Age::Current, shared, total, first }
            }));
        }
        // A delta of the previous round was revealed before the peer committed to this one.
        for (other, theirs) in earlier {
            let (one, other) = (*one, *other);
            all.extend(overlap(sketch, theirs, lowest).map(|(shared, total)| {
                let first = Some(other);
                SimilarPair { one, other, age: Age::Previous, shared, total, first }
            }));
        }
    }
    all.sort_by_key(SimilarPair::place);
    all
}

/// Returns the shared and the possible number of common positions, or `None` if their ratio is
/// below `lowest`.
fn overlap(one: &Sketch, other: &Sketch, lowest: f64) -> Option<(u64, u64)> {
    let (mut shared, mut total) = (0, 0);
    for (one, other) in one.chunks().iter().zip(other.chunks()) {
        shared += num_common(one, other);
        // Relative to the shorter one, so padding a copy with positions does not hide it.
        total += one.len().min(other.len()) as u64;
    }
    (total > 0 && shared as f64 >= lowest * total as f64).then_some((shared, total))
}

/// The number of common entries of two ascending lists.
fn num_common(one: &[u32], other: &[u32]) -> u64 {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut count = 0;
    // Both lists ascend, so one pass finds all common entries.
    while let (Some(left), Some(right)) = (one.peek(), other.peek()) {
        let order = left.cmp(right);
        count += u64::from(order.is_eq());
        one.next_if(|_| order.is_le());
        other.next_if(|_| order.is_ge());
    }
    count
}
