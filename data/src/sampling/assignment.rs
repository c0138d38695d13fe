//! Who trains on what in a common run: a rule that everybody can check.

use std::ops::Range;

use super::window_sampler::{WindowSampler, WindowSource};
use crate::error::DataError;

/// Domain of the seeds of rounds, so that no other use of the run's seed sees the same orders.
const SEED_DOMAIN: &str = "covey 2026-11-22 seed of a round's windows";

/// Samples by which a source may be ahead of its exact share of a mixture.
const MIXTURE_SLACK: u64 = 64;

/// The windows of every seat in every round of a run.
///
/// - Each round has an order of its own, a function of the run's seed and the round. The peer on seat s trains on its
///   samples from `s * samples` to `(s + 1) * samples`.
/// - Seats below [`Assignment::disjoint_slots`] share no window within a round.
#[derive(Debug, Clone)]
pub struct Assignment {
    sources: Vec<WindowSource>,
    seed: u64,
    samples: u64,
}

impl Assignment {
    /// The assignment of a run of this seed in which a peer learns from `samples` windows a round, at least one.
    pub fn new(sources: Vec<WindowSource>, seed: u64, samples: u64) -> Self {
        Self { sources, seed, samples: samples.max(1) }
    }

    /// The samples of one seat in one round, in the order in which they are trained on; the first `samples` count.
    pub fn of(&self, round: u32, slot: u32) -> Result<WindowSampler, DataError> {
        WindowSampler::at(
            self.sources.clone(),
            round_seed(self.seed, round),
            u64::from(slot) * self.samples,
        )
    }

    /// Appends the tokens of one sample of a round, counted through all seats: seat s has those from `s * samples` on.
    pub fn read(&self, round: u32, sample: u64, tokens: &mut Vec<u32>) -> Result<(), DataError> {
        WindowSampler::at(self.sources.clone(), round_seed(self.seed, round), sample)?.draw(tokens)
    }

    /// Windows that a peer learns from in a round.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Tokens in a window, without the one that follows it.
    pub fn length(&self) -> usize {
        self.sources.first().map_or(0, |source| source.windows.length())
    }

    /// How many seats there are before windows repeat within a round.
    pub fn disjoint_slots(&self) -> u64 {
        self.disjoint_samples() / self.samples
    }

    /// The samples of a round of which nobody has a share if there are so many seats: no window among them is trained on
    /// in that round.
    ///
    /// Where the data is too short for so many, it is the samples of one seat that nobody has; their windows may be
    /// others' as well.
    pub fn unassigned(&self, slots: u32) -> Range<u64> {
        let first = u64::from(slots) * self.samples;
        first..self.disjoint_samples().max(first + self.samples)
    }

    fn disjoint_samples(&self) -> u64 {
        let total: f64 = self.sources.iter().map(|source| source.weight).sum();
        let is_mixture = self.sources.len() > 1;
        let reach = self.sources.iter().map(|source| match is_mixture {
            false => source.windows.count(),
            true => {
                let safe = source.windows.count().saturating_sub(MIXTURE_SLACK);
                (safe as f64 * total / source.weight) as u64
            }
        });
        reach.min().unwrap_or(0)
    }
}

fn round_seed(seed: u64, round: u32) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key(SEED_DOMAIN);
    hasher.update(&seed.to_le_bytes()).update(&round.to_le_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
