//! Constants of the penalties.

use serde::{Deserialize, Serialize};

/// The penalty for each offence. A factor multiplies the peer's trust.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PenaltyConfig {
    /// Factor after each missed round.
    pub inactive: f64,
    /// Consecutive missed rounds that do not yet reset the peer record.
    pub inactive_rounds: u32,
    /// Factors after the first, the second and each further late, withheld or refused delta in a
    /// row.
    pub undelivered: [f64; 3],
    /// Failures among the last eight deliveries that lead to a ban.
    pub unreliable: u32,
    /// Factor if more than half of the last eight evaluated deltas were harmful.
    pub negative: f64,
    /// Consecutive harmful deltas after which a peer must be evaluated to be included.
    pub negative_streak: u32,
    /// Helpful deltas that a round must have before harm is penalised. With fewer than twice as
    /// many evaluated peers, half of the evaluated peers suffice. The published run always requires
    /// 5.
    #[serde(rename = "trouble_rank")]
    pub min_helpful_peers: u32,
    /// Factor after a delta with a suspicious similarity to another one.
    pub similar: f64,
    /// Rounds of a first ban. Each further ban is twice as long.
    pub ban_rounds: u32,
    /// Scores and trust below this value become 0.
    pub floor: f64,
    /// Share of active peers that must deliver before missing, late and withheld deltas are
    /// penalised; below it, an outage is assumed. The published run penalises all peers then.
    #[serde(rename = "network")]
    pub min_delivery_share: f64,
}

impl Default for PenaltyConfig {
    fn default() -> Self {
        Self {
            inactive: 0.75,
            inactive_rounds: 3,
            // The third failure in a row takes all trust.
            undelivered: [0.75, 0.5, 0.0],
            unreliable: 4,
            negative: 0.25,
            negative_streak: 3,
            min_helpful_peers: 5,
            similar: 0.5,
            ban_rounds: 20,
            floor: 1e-4,
            min_delivery_share: 0.4,
        }
    }
}
