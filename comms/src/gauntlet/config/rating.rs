//! Constants of the Plackett-Luce ratings.

use serde::{Deserialize, Serialize};

/// Constants of the ratings (Weng and Lin, 2011); the defaults are those of the published run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RatingConfig {
    /// Mean of the skill of a peer that played no match.
    pub mu: f64,
    /// Standard deviation of that skill.
    pub sigma: f64,
    /// Standard deviation of the performance in one match. The larger it is, the less one match
    /// changes a rating.
    pub beta: f64,
    /// Standard deviation that is added before each match, so a rating never stops to adapt.
    pub tau: f64,
    /// Smallest factor of one match on the variance.
    pub kappa: f64,
}

impl Default for RatingConfig {
    fn default() -> Self {
        Self { mu: 25.0, sigma: 25.0 / 3.0, beta: 7.0, tau: 0.1, kappa: 1e-4 }
    }
}
