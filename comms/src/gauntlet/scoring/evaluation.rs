//! What the measured deltas of a round say of their peers: moving averages and one match.

use std::collections::{BTreeMap, BTreeSet};

use super::evaluator::Measurement;
use super::rating::Rating;
use crate::gauntlet::conduct::{PeerRecord, PeerTable};
use crate::gauntlet::judge::Gauntlet;
use crate::gauntlet::observations::Observations;
use crate::primitives::{PeerId, Round};

/// What came out for everybody who was evaluated.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evaluation {
    /// Gradient scores; that of an invalid delta where there was nothing to measure.
    pub(crate) scores: BTreeMap<PeerId, f64>,
    /// Whether so few deltas did good that it cannot be their peers' fault.
    pub(crate) is_trouble: bool,
    /// The gradient score below which a delta is of no use.
    pub(crate) useful: f64,
}

impl Gauntlet {
    /// Rates all evaluated peers.
    pub(crate) fn evaluate(
        &self,
        peer_table: &mut PeerTable,
        inputs: &Observations,
        evaluated: &BTreeSet<PeerId>,
    ) -> Evaluation {
        let usable = |peer: &PeerId| {
            inputs.measurements.get(peer).filter(|measurement| measurement.is_usable())
        };
        let is_invalid = |peer: &PeerId| {
            inputs.refused.contains_key(peer) || inputs.measurements.contains_key(peer)
        };
        let score = |peer: &PeerId| match usable(peer) {
            Some(measurement) => Some((*peer, measurement.score())),
            None => is_invalid(peer).then_some((*peer, self.config.invalid_score)),
        };
        let scores: BTreeMap<PeerId, f64> = evaluated.iter().filter_map(score).collect();
        let is_known = |peer: PeerId| {
            peer_table.get(peer).is_some_and(|known| known.is_established(&self.config))
        };
        let good = good(&scores, is_known);
        // Where nothing does good, harm is no measure.
        let useful = if good > 0.0 { good * self.config.useful_share } else { f64::NEG_INFINITY };
        let ratings = self.ratings(peer_table, &scores, good);
        for ((peer, score), rating) in scores.iter().zip(ratings) {
            let record = peer_table.seen(&self.config, *peer, inputs.round);
            let is_credit = *score >= useful && usable(peer).is_some_and(Measurement::favours_own);
            self.learn(record, is_credit, inputs.round);
            record.rating = rating;
            record.evaluated.push(*score > 0.0);
        }
        Evaluation { is_trouble: self.is_trouble(&scores), useful, scores }
    }

    /// Everybody's ratings after the match of the round, in the order of peers.
    ///
    /// Deltas that are about as good as good ones draw: else chance decides among the honest, and a third of them would
    /// have no score for long, because a rating only says who is better than whom.
    fn ratings(
        &self,
        peer_table: &PeerTable,
        scores: &BTreeMap<PeerId, f64>,
        good: f64,
    ) -> Vec<Rating> {
        let rating = |peer: &PeerId| {
            peer_table.get(*peer).map_or(self.config.rating.joining_peer(), |record| record.rating)
        };
        let players: Vec<Rating> = scores.keys().map(rating).collect();
        let draw =
            Some(good * self.config.draw_share).filter(|draw| *draw > 0.0).unwrap_or(f64::MAX);
        let results: Vec<f64> = scores.values().map(|score| score.min(draw)).collect();
        // Usable measurements and the config have finite scores; should one not be so, nobody plays.
        self.config.rating.play(&players, &results).unwrap_or(players)
    }

    /// Takes one evaluation into a peer's moving average; trust comes back as slowly as an average.
    fn learn(&self, record: &mut PeerRecord, is_credit: bool, round: Round) {
        let decay = self.config.bma_decay;
        let indicator = if is_credit { 1.0 } else { -1.0 };
        record.bma = decay * record.bma + (1.0 - decay) * indicator;
        if is_credit {
            record.trust = decay * record.trust + (1.0 - decay);
        }
        record.evaluations = record.evaluations.saturating_add(1);
        record.last_evaluated = round;
    }

    /// Whether not even the fifth best delta did good; of fewer than ten, the better half.
    fn is_trouble(&self, scores: &BTreeMap<PeerId, f64>) -> bool {
        let rank = scores.len().div_ceil(2).min(self.config.penalties.trouble_rank as usize);
        nth_best(scores.values().copied(), rank).is_some_and(|score| score <= 0.0)
    }
}

/// What good deltas of a round score; zero, if there are none.
///
/// Good is the best of every eight, so that a crowd of useless newcomers cannot lower the bar, but of four or more peers not
/// the very best, who may have been lucky; and the median of those who have proven themselves, if that is more.
fn good(scores: &BTreeMap<PeerId, f64>, is_known: impl Fn(PeerId) -> bool) -> f64 {
    let rank = scores.len().div_ceil(8).max(scores.len().div_euclid(2).min(2));
    let all = nth_best(scores.values().copied(), rank);
    let known: Vec<f64> =
        scores.iter().filter(|(peer, _)| is_known(**peer)).map(|(_, score)| *score).collect();
    let rank = known.len().div_ceil(2);
    all.into_iter().chain(nth_best(known.into_iter(), rank)).fold(0.0, f64::max)
}

/// The score of a rank, counted from 1.
fn nth_best(scores: impl Iterator<Item = f64>, rank: usize) -> Option<f64> {
    let mut scores: Vec<f64> = scores.collect();
    scores.sort_by(|one, other| other.total_cmp(one));
    scores.get(rank.checked_sub(1)?).copied()
}
