//! Constants of the payouts.

use serde::{Deserialize, Serialize};

/// The function from ranked peers to weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PayoutRule {
    /// By rank: linear over as many peers as a round can include, geometric over the reserves.
    Ramp,
    /// By a power of the score. With an exponent above 1, a peer that splits its score over two
    /// keys gets less.
    Power,
}

/// Constants of the payouts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PayoutConfig {
    /// The rule.
    pub rule: PayoutRule,
    /// Share of the reward that no peer gets.
    pub burn: f64,
    /// Ramp: ratio of the first payout to the last one among `max_included` peers.
    pub steepness: f64,
    /// Ramp: share of these peers together, before payouts of reserves are limited to half of the
    /// smallest of theirs.
    pub included_share: f64,
    /// Ramp: ratio of the payouts of two consecutive reserves.
    pub reserve_ratio: f64,
    /// Power: the exponent.
    pub exponent: f64,
}

impl Default for PayoutConfig {
    fn default() -> Self {
        // The published ramp: of 20 peers the first gets 3.23 % of the reward, the last 1.61 %.
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
