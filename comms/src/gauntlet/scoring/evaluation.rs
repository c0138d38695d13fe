//! The update of moving averages and ratings from the measurements of a round.

use std::collections::{BTreeMap, BTreeSet};

use super::evaluator::Measurement;
use super::rating::{Rating, play_match};
use crate::gauntlet::conduct::{PeerRecord, PeerTable};
use crate::gauntlet::config::GauntletConfig;
use crate::gauntlet::observations::Observations;
use crate::primitives::{PeerId, Round};

/// The results of all evaluated peers of a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evaluation {
    /// Gradient scores. A refused delta has `invalid_score`.
    pub(crate) scores: BTreeMap<PeerId, f64>,
    /// True if so few deltas helped that the cause is not the peers' conduct.
    pub(crate) is_trouble: bool,
    /// The gradient score below which a delta is excluded.
    pub(crate) min_gain: f64,
}

/// Updates the records of all evaluated peers.
pub(crate) fn evaluate(
    config: &GauntletConfig,
    peer_table: &mut PeerTable,
    inputs: &Observations,
    evaluated: &BTreeSet<PeerId>,
) -> Evaluation {
    let scores: BTreeMap<PeerId, f64> = evaluated
        .iter()
        .filter_map(|peer| Some((*peer, gradient_score(config, inputs, *peer)?)))
        .collect();
    let reference = reference_gain(config, peer_table, &scores);
    // If no delta helps, a low gain says nothing about the work of its peer.
    let min_gain =
        if reference > 0.0 { reference * config.min_gain_ratio } else { f64::NEG_INFINITY };
    let ratings = ratings_after(config, peer_table, &scores, reference);
    for ((peer, score), rating) in scores.iter().zip(ratings) {
        let record = peer_table.seen(config, *peer, inputs.round);
        let passes_own_data_test =
            usable_measurement(inputs, *peer).is_some_and(Measurement::favours_own);
        record_evaluation(config, record, *score >= min_gain && passes_own_data_test, inputs.round);
        record.rating = rating;
        record.evaluated.push(*score > 0.0);
    }
    Evaluation { is_trouble: is_trouble(config, &scores), min_gain, scores }
}

fn usable_measurement(inputs: &Observations, peer: PeerId) -> Option<&Measurement> {
    inputs.measurements.get(&peer).filter(|measurement| measurement.is_usable())
}

/// Returns the score of a peer in the match, or `None` if its delta was neither measured nor
/// refused.
fn gradient_score(config: &GauntletConfig, inputs: &Observations, peer: PeerId) -> Option<f64> {
    if let Some(measurement) = usable_measurement(inputs, peer) {
        return Some(measurement.score());
    }
    let is_invalid = inputs.refused.contains_key(&peer) || inputs.measurements.contains_key(&peer);
    is_invalid.then_some(config.invalid_score)
}

/// Returns the ratings of all scored peers after the match of the round, in the order of peers.
///
/// Gains of at least `tie_gain_ratio` of the reference gain tie. Otherwise chance orders honest
/// peers of equal skill, and a third of them would have no score for a long time.
fn ratings_after(
    config: &GauntletConfig,
    peer_table: &PeerTable,
    scores: &BTreeMap<PeerId, f64>,
    reference: f64,
) -> Vec<Rating> {
    let players: Vec<Rating> = scores
        .keys()
        .map(|peer| {
            let record = peer_table.get(*peer);
            record.map_or(Rating::initial(&config.rating), |record| record.rating)
        })
        .collect();
    // A limit of 0 means no ties, be it configured or because no delta helped.
    let tie = Some(reference * config.tie_gain_ratio).filter(|tie| *tie > 0.0).unwrap_or(f64::MAX);
    let results: Vec<f64> = scores.values().map(|score| score.min(tie)).collect();
    // Usable measurements and a checked config have finite scores. If a score is not finite anyway,
    // no rating changes, on any machine.
    play_match(&config.rating, &players, &results).unwrap_or(players)
}

/// Adds one evaluation to the moving average of a peer. Trust recovers at the same rate.
fn record_evaluation(
    config: &GauntletConfig,
    record: &mut PeerRecord,
    is_credited: bool,
    round: Round,
) {
    let decay = config.bma_decay;
    let indicator = if is_credited { 1.0 } else { -1.0 };
    record.bma = decay * record.bma + (1.0 - decay) * indicator;
    // Only credited evaluations restore trust. Otherwise a peer could wait until a penalty is over.
    if is_credited {
        record.trust = decay * record.trust + (1.0 - decay);
    }
    record.evaluations = record.evaluations.saturating_add(1);
    record.last_evaluated = round;
}

/// Returns true if not even the fifth best delta helped, or with fewer than ten the middle one.
///
/// With six peers, two of them dishonest, the fifth best would always be a dishonest one.
fn is_trouble(config: &GauntletConfig, scores: &BTreeMap<PeerId, f64>) -> bool {
    let rank = scores.len().div_ceil(2).min(config.penalties.min_helpful_peers as usize);
    nth_best(scores.values().copied(), rank).is_some_and(|score| score <= 0.0)
}

/// The reference gain: the gradient score of a good delta of the round, at least 0.
///
/// It is the best of every eight, so a crowd of useless joining peers cannot lower it as it would
/// lower a median. With four or more peers it is the second best, since the best may be luck. The
/// median of established peers replaces it if that is higher.
fn reference_gain(
    config: &GauntletConfig,
    peer_table: &PeerTable,
    scores: &BTreeMap<PeerId, f64>,
) -> f64 {
    let rank = scores.len().div_ceil(8).max(scores.len().div_euclid(2).min(2));
    let all = nth_best(scores.values().copied(), rank);
    let established: Vec<f64> = scores
        .iter()
        .filter(|(peer, _)| peer_table.is_established(config, **peer))
        .map(|(_, score)| *score)
        .collect();
    let rank = established.len().div_ceil(2);
    all.into_iter().chain(nth_best(established.into_iter(), rank)).fold(0.0, f64::max)
}

/// Returns the score at a rank, counted from 1.
fn nth_best(scores: impl Iterator<Item = f64>, rank: usize) -> Option<f64> {
    let mut scores: Vec<f64> = scores.collect();
    scores.sort_by(|one, other| other.total_cmp(one));
    scores.get(rank.checked_sub(1)?).copied()
}
