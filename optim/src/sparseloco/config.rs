//! The settings of SparseLoCo, as in the configuration of a run.

use serde::{Deserialize, Serialize};

use super::outer_schedule::OuterSchedule;
use crate::error::{SettingError, SettingErrors};

/// The largest number of elements of a chunk in both profiles: a block of 64 x 64.
pub const CHUNK_LIMIT: usize = 4096;

/// Elements per task of the thread pool. Results do not depend on it.
// 64 KiB of fp32: enough work to make the cost of a task negligible, and it fits into a
// second-level cache.
pub(crate) const TASK_LEN: usize = 16 * 1024;

/// The rules for chunks, numbers of entries, and levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// The published arithmetic: `k` values of every chunk of any size, vectors in chunks of at
    /// most 64 (so norms are sent whole), levels from four bins around the mean.
    Reference,
    /// The same share of every chunk, vectors in chunks of 4096, two magnitudes per tensor with the
    /// least squared error.
    #[default]
    Covey,
}

/// The number by which the sum of a coordinate is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeanOver {
    /// The number of peers that sent this coordinate, as in all published training.
    #[default]
    Senders,
    /// The number of peers of the round, as in Equation 2 of the paper.
    Peers,
}

/// The treatment of deltas with a large norm, before deltas are averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clip {
    /// No clipping.
    Off,
    /// Each tensor of a delta is scaled down to the lower median of the norms of all deltas.
    #[default]
    MedianNorm,
}

/// The settings that determine the content of a delta and its effect on the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SparseLocoConfig {
    /// The rules for chunks and levels.
    pub profile: Profile,
    /// Number of values sent per chunk of 4096.
    pub k: usize,
    /// If true, the largest frequencies of every block of a matrix are sent instead of its largest
    /// elements.
    pub dct: bool,
    /// The factor on the error feedback in each round.
    pub decay: f32,
    /// The divisor of the mean.
    pub mean_over: MeanOver,
    /// The treatment of large deltas.
    pub clip: Clip,
    /// If true, a delta that was not included returns to the error feedback. The paper does not do
    /// this.
    pub mass_return: bool,
    /// The outer learning rate of each round.
    pub outer_learning_rate: OuterSchedule,
}

impl Default for SparseLocoConfig {
    fn default() -> Self {
        Self {
            // 64 of 4096 values, a decay of 0.95, and the mean over senders are the published
            // values.
            profile: Profile::Covey,
            k: 64,
            dct: false,
            decay: 0.95,
            mean_over: MeanOver::Senders,
            clip: Clip::MedianNorm,
            mass_return: true,
            outer_learning_rate: OuterSchedule::default(),
        }
    }
}

impl SparseLocoConfig {
    /// Returns every setting that breaks its rule.
    pub fn check(&self) -> Vec<SettingError> {
        let mut findings = SettingErrors::default();
        // The reference makes `k` even, so 1 would send nothing.
        let least = if self.profile == Profile::Reference { 2 } else { 1 };
        let rule = "must be between 1 (reference profile: 2) and 4096";
        findings.require((least..=CHUNK_LIMIT).contains(&self.k), "k", self.k, rule);
        // A decay below 1 bounds the error feedback of bounded pseudo-gradients: 0.999 bounds it by
        // a thousand of them.
        findings.require(
            (0.0..=0.999).contains(&self.decay),
            "decay",
            self.decay,
            "must be between 0 and 0.999",
        );
        self.outer_learning_rate.check(&mut findings);
        findings.0
    }
}

impl Profile {
    /// The number of values sent per chunk of `length` elements.
    ///
    /// The reference limits `k` to the chunk and makes it even. A chunk of one element, for which
    /// it gives no rule, is sent whole.
    pub fn kept(self, k: usize, length: usize) -> usize {
        match self {
            Self::Reference if length < 2 => length,
            Self::Reference => k.clamp(2, length) / 2 * 2,
            // Rounded to the nearest integer, and at least one: otherwise small chunks would never
            // be sent.
            Self::Covey => ((k * length + CHUNK_LIMIT / 2) / CHUNK_LIMIT).clamp(1, length),
        }
    }

    /// The name in configurations, and in the digest of a schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Covey => "covey",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_break_no_rule() {
        assert_eq!(SparseLocoConfig::default().check(), []);
        let text = serde_json::to_string(&SparseLocoConfig::default()).unwrap();
        assert_eq!(
            serde_json::from_str::<SparseLocoConfig>(&text).unwrap(),
            SparseLocoConfig::default()
        );
    }

    #[test]
    fn every_broken_setting_is_reported() {
        let config = SparseLocoConfig { k: 0, decay: 1.0, ..SparseLocoConfig::default() };
        let keys: Vec<String> = config.check().into_iter().map(|finding| finding.key).collect();
        assert_eq!(keys, ["k", "decay"]);
    }

    #[test]
    fn covey_keeps_the_same_share_of_every_chunk() {
        let kept = |length| Profile::Covey.kept(64, length);
        assert_eq!([1, 64, 128, 2816, 4096].map(kept), [1, 1, 2, 44, 64]);
        assert_eq!(
            [1, 3, 48, 64, 1800].map(|length| Profile::Reference.kept(64, length)),
            [1, 2, 48, 64, 64]
        );
    }
}
