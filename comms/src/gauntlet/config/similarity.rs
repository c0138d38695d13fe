//! Levels of similarity between two deltas.

use serde::{Deserialize, Serialize};

/// Shares of common positions from which two deltas are too similar. The levels must ascend.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimilarityConfig {
    /// Suspicious.
    pub high: f64,
    /// Not explained by chance.
    pub max: f64,
    /// A copy.
    pub mega: f64,
    /// A copy in the first rounds as well, and between two deltas of one peer. Not in the paper.
    pub verbatim: f64,
    /// First round in which `high`, `max` and `mega` apply.
    pub settled: u32,
}

impl Default for SimilarityConfig {
    fn default() -> Self {
        // In the first rounds all peers change the same positions, so the published check is off
        // for 20 rounds. `verbatim` closes this gap.
        Self { high: 0.4, max: 0.5, mega: 0.6, verbatim: 0.9, settled: 20 }
    }
}
