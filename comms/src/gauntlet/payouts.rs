//! How scores become shares of a reward.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::judge::Gauntlet;
use crate::primitives::PeerId;

/// What decides the shares of ranked peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PayoutRule {
    /// The rank: linear among as many as a round may include, geometric among the reserves behind them.
    Ramp,
    /// A power of the score: who splits himself up gets less than one who does not.
    Power,
}

/// Constants of the shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PayoutConfig {
    /// The rule.
    pub rule: PayoutRule,
    /// The share that nobody gets.
    pub burn: f64,
    /// Ramp: how many times more the first gets than the last who may be included.
    pub steepness: f64,
    /// Ramp: what all those get together, before reserves are held down to half of the least of their shares.
    pub included_share: f64,
    /// Ramp: what each reserve gets of the share of the one before.
    pub reserve_ratio: f64,
    /// Power: the exponent.
    pub exponent: f64,
}

impl Default for PayoutConfig {
    fn default() -> Self {
        Self {
            rule: PayoutRule::Ramp,
            burn: 0.5,
            steepness: 2.0,
            included_share: 0.75,
            reserve_ratio: 0.5,
            exponent: 2.0,
        }
    }
}

impl Gauntlet {
    /// The shares of peers with these scores; together with what is burnt they are 1, unless nobody has a score.
    pub fn payouts(&self, scores: &BTreeMap<PeerId, f64>) -> BTreeMap<PeerId, f64> {
        let mut ranked: Vec<(PeerId, f64)> =
            scores.iter().map(|(peer, score)| (*peer, *score)).collect();
        ranked.retain(|(_, score)| *score > 0.0 && score.is_finite());
        ranked.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        let weights = match self.config.payout.rule {
            PayoutRule::Ramp => self.ramp(ranked.len()),
            PayoutRule::Power => {
                let best = ranked.first().map_or(1.0, |(_, score)| *score);
                // Relative to the best, so that no power is too large for a number.
                ranked
                    .iter()
                    .map(|(_, score)| libm::pow(score / best, self.config.payout.exponent))
                    .collect()
            }
        };
        let paid = (1.0 - self.config.payout.burn) / weights.iter().sum::<f64>();
        ranked.into_iter().zip(weights).map(|((peer, _), weight)| (peer, weight * paid)).collect()
    }

    /// The weights of ranks.
    fn ramp(&self, num_ranked: usize) -> Vec<f64> {
        let payout = &self.config.payout;
        let num_included = num_ranked.min(self.max_included as usize);
        let num_reserves = (num_ranked - num_included).min(self.config.reserves as usize);
        let last = num_included.saturating_sub(1).max(1) as f64;
        let slope = |rank: usize| payout.steepness - (payout.steepness - 1.0) * rank as f64 / last;
        let included: Vec<f64> =
            scaled((0..num_included).map(slope).collect(), payout.included_share);
        let reserve = |rank: usize| libm::pow(payout.reserve_ratio, rank as f64);
        let reserves =
            scaled((0..num_reserves).map(reserve).collect(), 1.0 - payout.included_share);
        let limit = included.last().map_or(0.0, |least| least / 2.0);
        let excess = reserves.first().map_or(1.0, |most| (limit / most).min(1.0));
        included.into_iter().chain(reserves.into_iter().map(|weight| weight * excess)).collect()
    }
}

/// The weights so that they sum to `sum`.
fn scaled(weights: Vec<f64>, sum: f64) -> Vec<f64> {
    let factor = sum / weights.iter().sum::<f64>();
    weights.into_iter().map(|weight| weight * factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauntlet::config::GauntletConfig;

    fn shares(config: PayoutConfig, scores: &[f64]) -> Vec<f64> {
        let gauntlet =
            Gauntlet::new(GauntletConfig { payout: config, ..GauntletConfig::default() }, 20);
        let peers = scores
            .iter()
            .zip(0..)
            .map(|(score, number)| (PeerId::from_bytes([number; 32]), *score));
        gauntlet.payouts(&peers.collect()).into_values().collect()
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
    fn few_peers_share_what_is_not_burnt() {
        assert_eq!(shares(PayoutConfig::default(), &[2.0]), [0.5]);
        let three = shares(PayoutConfig::default(), &[3.0, 0.0, 2.0, 1.0]);
        assert_eq!(three.len(), 3);
        assert!(
            (three[0] / three[2] - 2.0).abs() < 1e-12
                && (three.iter().sum::<f64>() - 0.5).abs() < 1e-12
        );
        assert!(shares(PayoutConfig::default(), &[0.0, f64::NAN]).is_empty());
    }

    #[test]
    fn the_power_rule_gives_less_to_who_splits_himself_up() {
        let power = PayoutConfig { rule: PayoutRule::Power, burn: 0.0, ..PayoutConfig::default() };
        let ratio = |shares: Vec<f64>| shares[0] / shares[1];
        assert!((ratio(shares(power, &[3.0, 1.0])) - 9.0).abs() < 1e-12);
        let whole = shares(power, &[2.0, 2.0])[0];
        let halves: f64 = shares(power, &[2.0, 1.0, 1.0])[1..].iter().sum();
        assert!(halves < whole);
    }
}
