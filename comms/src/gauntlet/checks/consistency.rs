//! The consistency of a verdict's inputs with each other, before any of them is recomputed.
//!
//! A proposer could otherwise shift an outcome by naming a peer twice, leaving out a measurement,
//! or adding a pair of deltas that no validator fetched.

use std::collections::BTreeSet;
use std::fmt::Debug;

use super::similar_pair::SimilarPair;
use crate::gauntlet::config::GauntletConfig;
use crate::gauntlet::observations::{Observations, Participation};
use crate::gauntlet::scoring::Age;
use crate::gauntlet::shortlist::Shortlist;
use crate::gauntlet::verdict::Difference;
use crate::primitives::{PeerId, Round};

/// Finds the first input that contradicts another one, or the shortlist that follows from them.
///
/// # Errors
/// The path of the input in the verdict, with the expected and the stated value.
pub(crate) fn check_inputs(
    config: &GauntletConfig,
    shortlist: &Shortlist,
    inputs: &Observations,
) -> Result<(), Difference> {
    check_round(inputs)?;
    check_peers(inputs)?;
    check_measurements(inputs, shortlist)?;
    check_similar_pairs(config.overlap.high, inputs, shortlist)
}

/// Checks the outer settings and the secret. Round 0 has no secret, since it measures nothing.
fn check_round(inputs: &Observations) -> Result<(), Difference> {
    if !inputs.outer.are_valid() {
        let expected = "a finite number that is not negative";
        return Err(mismatch("outer.alpha", expected, &inputs.outer.alpha));
    }
    if inputs.round != Round::FIRST {
        let has_secret = inputs.secret.is_some();
        return if has_secret {
            Ok(())
        } else {
            Err(mismatch("secret", "a secret", &inputs.secret))
        };
    }
    // The secret itself is not shown.
    if inputs.secret.is_some() {
        return Err(mismatch("secret", "none in round 0", &"a secret"));
    }
    if !inputs.commitment_lists.is_empty() {
        return Err(mismatch("rolls", "none in round 0", &inputs.commitment_lists));
    }
    if !inputs.active.is_empty() {
        return Err(mismatch("seated", "no active peer in round 0", &inputs.active.keys()));
    }
    Ok(())
}

/// Checks that each peer is active, joining or unknown, and that absent peers have a fitting
/// reason.
fn check_peers(inputs: &Observations) -> Result<(), Difference> {
    if let Some(peer) = inputs.joining.iter().find(|peer| inputs.active.contains_key(peer)) {
        return Err(mismatch("newcomers", "no active peer", peer));
    }
    let named_twice = inputs
        .unknown
        .iter()
        .find(|peer| inputs.active.contains_key(peer) || inputs.joining.contains(peer));
    if let Some(peer) = named_twice {
        return Err(mismatch("strangers", "no active or joining peer", peer));
    }
    for (peer, active) in &inputs.active {
        if let Participation::Silent(reason) = active.presence
            && !reason.is_silence()
        {
            let path = format!("seated.{peer}.presence.silent");
            return Err(mismatch(&path, "missing, late or withheld", &reason));
        }
    }
    Ok(())
}

/// Checks that exactly the evaluated peers that were not refused have a measurement.
fn check_measurements(inputs: &Observations, shortlist: &Shortlist) -> Result<(), Difference> {
    let all = shortlist.peers();
    if let Some((peer, reason)) = inputs.refused.iter().find(|(peer, _)| !all.contains(peer)) {
        return Err(mismatch(&format!("refused.{peer}"), "nothing", reason));
    }
    for peer in shortlist.evaluated.iter().filter(|peer| !inputs.refused.contains_key(peer)) {
        match inputs.measurements.get(peer) {
            Some(measurement) if measurement.is_usable() => {}
            got => return Err(mismatch(&format!("measurements.{peer}"), "a measurement", &got)),
        }
    }
    let unexpected = inputs
        .measurements
        .keys()
        .find(|peer| !shortlist.evaluated.contains(peer) || inputs.refused.contains_key(peer));
    match unexpected {
        Some(peer) => Err(mismatch(&format!("measurements.{peer}"), "nothing", &"a measurement")),
        None => Ok(()),
    }
}

/// Checks that pairs ascend, are possible, and reach the lowest level.
fn check_similar_pairs(
    lowest: f64,
    inputs: &Observations,
    shortlist: &Shortlist,
) -> Result<(), Difference> {
    let mut admitted = shortlist.peers();
    admitted.retain(|peer| !inputs.refused.contains_key(peer));
    let mut last = None;
    for (at, pair) in inputs.overlaps.iter().enumerate() {
        // Strictly ascending, so no pair can be listed twice.
        let is_next = last < Some(pair.place());
        if !is_next || !is_possible(pair, &admitted, &inputs.earlier) || pair.share() < lowest {
            let expected = "an overlap of two admitted deltas, in ascending order";
            return Err(mismatch(&format!("overlaps.{at}"), expected, pair));
        }
        last = Some(pair.place());
    }
    Ok(())
}

/// Returns true if the pair names two deltas that can be compared, and possible counts.
fn is_possible(
    pair: &SimilarPair,
    admitted: &BTreeSet<PeerId>,
    earlier: &BTreeSet<PeerId>,
) -> bool {
    let SimilarPair { one, other, age, shared, total, first } = *pair;
    let is_comparable = match age {
        Age::Current => {
            one < other
                && admitted.contains(&other)
                && first.is_none_or(|first| first == one || first == other)
        }
        Age::Previous => earlier.contains(&other) && first == Some(other),
    };
    is_comparable && admitted.contains(&one) && total > 0 && shared <= total
}

fn mismatch(path: &str, expected: &str, got: &dyn Debug) -> Difference {
    Difference::new(format!("inputs.{path}"), expected, format!("{got:?}"))
}
