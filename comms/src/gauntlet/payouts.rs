//! The function from scores to payouts.

use std::collections::BTreeMap;

use super::config::{PayoutConfig, PayoutRule};
use crate::primitives::PeerId;

/// The number of peers that a round includes at most, and of the reserves that follow them.
#[derive(Clone, Copy)]
pub(crate) struct PaidPlaces {
    pub(crate) included: usize,
    pub(crate) reserves: usize,
}

/// Returns the share of each peer with a positive score. All shares and the burnt share sum to 1,
/// unless there is no such peer.
pub(crate) fn payouts(
    config: &PayoutConfig,
    places: PaidPlaces,
    scores: &BTreeMap<PeerId, f64>,
) -> BTreeMap<PeerId, f64> {
    let mut ranked: Vec<(PeerId, f64)> =
        scores.iter().map(|(peer, score)| (*peer, *score)).collect();
    // NaN has no rank, and a score of 0 earns nothing.
    ranked.retain(|(_, score)| *score > 0.0 && score.is_finite());
    // By ID among equal scores, so every machine has the same order.
    ranked.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    let weights = match config.rule {
        PayoutRule::Ramp => ramp(config, places, ranked.len()),
        PayoutRule::Power => powers(config.exponent, &ranked),
    };
    let unit = (1.0 - config.burn) / weights.iter().sum::<f64>();
    ranked.into_iter().zip(weights).map(|((peer, _), weight)| (peer, weight * unit)).collect()
}

/// The weights of peers, ranked by score.
fn powers(exponent: f64, ranked: &[(PeerId, f64)]) -> Vec<f64> {
    // Relative to the best score, since a power of a large one could overflow.
    let best = ranked.first().map_or(1.0, |(_, score)| *score);
    ranked.iter().map(|(_, score)| libm::pow(score / best, exponent)).collect()
}

/// The weights of ranks: a linear part for peers that can be included, a geometric one for
/// reserves.
fn ramp(config: &PayoutConfig, places: PaidPlaces, num_ranked: usize) -> Vec<f64> {
    let num_included = num_ranked.min(places.included);
    let num_reserves = (num_ranked - num_included).min(places.reserves);
    // At least 1, since a single peer has no slope.
    let last = num_included.saturating_sub(1).max(1) as f64;
    let slopes = (0..num_included)
        .map(|rank| config.steepness - (config.steepness - 1.0) * rank as f64 / last)
        .collect();
    let included = scaled(slopes, config.included_share);
    let powers =
        (0..num_reserves).map(|rank| libm::pow(config.reserve_ratio, rank as f64)).collect();
    let reserves = scaled(powers, 1.0 - config.included_share);
    // With few reserves, the first one would get more than the last included peer.
    let limit = included.last().map_or(0.0, |least| least / 2.0);
    let factor = reserves.first().map_or(1.0, |most| (limit / most).min(1.0));
    included.into_iter().chain(reserves.into_iter().map(|weight| weight * factor)).collect()
}

/// Scales weights to the given sum.
fn scaled(weights: Vec<f64>, sum: f64) -> Vec<f64> {
    let factor = sum / weights.iter().sum::<f64>();
    weights.into_iter().map(|weight| weight * factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: PaidPlaces = PaidPlaces { included: 20, reserves: 10 };

    fn shares(config: PayoutConfig, scores: &[f64]) -> Vec<f64> {
        let peers = scores.iter().zip(0..);
        let peers = peers.map(|(score, number)| (PeerId::from_bytes([number; 32]), *score));
        payouts(&config, PLACES, &peers.collect()).into_values().collect()
    }

    #[test]
    fn the_ramp_gives_the_published_shares() {
        let scores: Vec<f64> = (0..30).map(|rank| 30.0 - f64::from(rank)).collect();
        let shares = shares(PayoutConfig::default(), &scores);
        let percent = |rank: usize| (shares[rank - 1] * 1e4).round() / 100.0;
        assert_eq!([percent(1), percent(20), percent(21)], [3.23, 1.61, 0.81]);
        let included: f64 = shares[..20].iter().sum();
        assert_eq!((included * 200.0).round(), 97.0);
        assert!((shares.iter().sum::<f64>() - 0.5).abs() < 1e-12);
        assert!(shares.is_sorted_by(|one, other| one > other));
    }

    #[test]
    fn few_peers_share_the_reward_that_is_not_burnt() {
        assert_eq!(shares(PayoutConfig::default(), &[2.0]), [0.5]);
        let three = shares(PayoutConfig::default(), &[3.0, 0.0, 2.0, 1.0]);
        assert_eq!(three.len(), 3);
        assert!((three[0] / three[2] - 2.0).abs() < 1e-12);
        assert!((three.iter().sum::<f64>() - 0.5).abs() < 1e-12);
        assert!(shares(PayoutConfig::default(), &[0.0, f64::NAN]).is_empty());
    }

    #[test]
    fn the_power_rule_pays_less_for_a_score_that_is_split_over_two_keys() {
        let power = PayoutConfig { rule: PayoutRule::Power, burn: 0.0, ..PayoutConfig::default() };
        let ratio = |shares: Vec<f64>| shares[0] / shares[1];
        assert!((ratio(shares(power, &[3.0, 1.0])) - 9.0).abs() < 1e-12);
        let whole = shares(power, &[2.0, 2.0])[0];
        let halves: f64 = shares(power, &[2.0, 1.0, 1.0])[1..].iter().sum();
        assert!(halves < whole);
    }
}
