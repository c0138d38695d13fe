//! The settings of SparseLoCo, as written in a run's configuration.

use serde::{Deserialize, Serialize};

use super::error::SparseLocoError;
use super::outer_step::OuterSchedule;
use super::schema::Schema;
use crate::error::{SettingError, SettingErrors};

/// Elements of a chunk at most, in both profiles: a 64 x 64 block.
pub const CHUNK_LIMIT: usize = 4096;

/// Which rules chunks, counts and levels follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// The published arithmetic: `k` values of every chunk whatever its size, vectors in chunks of at most 64 (so that
    /// norms are sent whole), levels from four bins around the mean.
    Reference,
    /// Ours: the same share of every chunk, vectors in chunks of 4096, two magnitudes per tensor with the least
    /// squared error.
    #[default]
    Covey,
}

/// What a coordinate is divided by when deltas are averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeanOver {
    /// The peers that sent this coordinate: the rule of all published training.
    #[default]
    Senders,
    /// All peers of the round: the rule of the paper's Equation 2.
    Peers,
}

/// What happens to a delta that is larger than others, before deltas are averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clip {
    /// Nothing.
    Off,
    /// Tensor by tensor, it is scaled down to the lower median of the norms of all.
    #[default]
    MedianNorm,
}

/// Everything that decides what a delta holds and what it does to the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SparseLocoConfig {
    /// Rules of chunks and levels.
    pub profile: Profile,
    /// Values sent of a chunk of 4096.
    pub k: usize,
    /// Whether the largest frequencies of every block of a matrix are sent instead of its largest elements.
    pub dct: bool,
    /// What remains of the error feedback from one round to the next.
    pub decay: f32,
    /// How deltas are averaged.
    pub mean_over: MeanOver,
    /// How loud deltas are held down.
    pub clip: Clip,
    /// Whether a delta that was not accepted goes back into the error feedback; off is faithful to the publication.
    pub mass_return: bool,
    /// The outer learning rate, round by round.
    pub outer_learning_rate: OuterSchedule,
}

impl Default for SparseLocoConfig {
    fn default() -> Self {
        Self {
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
    /// Every setting that breaks its rule.
    pub fn check(&self) -> Vec<SettingError> {
        let mut findings = SettingErrors::default();
        let least = if self.profile == Profile::Reference { 2 } else { 1 };
        let rule = "must be between 1 (reference profile: 2) and 4096";
        findings.require((least..=CHUNK_LIMIT).contains(&self.k), "k", self.k, rule);
        // Below 1 the feedback of bounded steps is bounded; 0.999 keeps it under a thousand steps.
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

impl SparseLocoConfig {
    /// The form of every delta of these tensors, by name and shape.
    ///
    /// # Errors
    ///
    /// As [`Schema::new`].
    pub fn schema<'a>(
        &self,
        tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<Schema, SparseLocoError> {
        let schema = if self.dct { Schema::with_dct } else { Schema::new };
        schema(self.profile, self.k, tensors)
    }
}

impl Profile {
    /// Values sent of a chunk of `length` elements.
    ///
    /// The reference clamps `k` to the chunk and makes it even; a chunk of one element, of which it says nothing, is
    /// sent whole.
    pub fn kept(self, k: usize, length: usize) -> usize {
        match self {
            Self::Reference if length < 2 => length,
            Self::Reference => k.clamp(2, length) / 2 * 2,
            Self::Covey => ((k * length + CHUNK_LIMIT / 2) / CHUNK_LIMIT).clamp(1, length),
        }
    }

    /// The name in configurations.
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
    fn defaults_are_sound() {
        assert_eq!(SparseLocoConfig::default().check(), []);
        let text = serde_json::to_string(&SparseLocoConfig::default()).unwrap();
        assert_eq!(
            serde_json::from_str::<SparseLocoConfig>(&text).unwrap(),
            SparseLocoConfig::default()
        );
    }

    #[test]
    fn broken_settings_are_all_named() {
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
