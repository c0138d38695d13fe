//! The windows of each peer in a distributed run, by a rule that every validator can recompute.

use std::ops::Range;

use super::window_sampler::{WindowSampler, WindowSource};
use crate::error::DataError;

/// Domain of the round seeds; it separates them from every other use of the run's seed.
const SEED_DOMAIN: &str = "covey 2026-11-22 seed of a round's windows";

/// Upper bound on the samples by which a source runs ahead of its exact share of a mixture.
///
/// [`Mixture`](super::Mixture) stays within about the logarithm of the number of samples, which is
/// below 64 for any number of 64 bits.
const MIXTURE_SLACK: u64 = 64;

/// The windows of every slot in every round of a run.
///
/// - The order of a round is a function of the run's seed and the round. The peer in slot s trains
///   on samples `s * samples` to `(s + 1) * samples` of that order.
/// - Slots below [`Assignment::disjoint_slots`] share no window within a round.
#[derive(Debug, Clone)]
pub struct Assignment {
    sources: Vec<WindowSource>,
    seed: u64,
    samples: u64,
}

impl Assignment {
    /// The assignment of a run with this seed and `samples` windows per peer and round, at least 1.
    pub fn new(sources: Vec<WindowSource>, seed: u64, samples: u64) -> Self {
        Self { sources, seed, samples: samples.max(1) }
    }

    /// A sampler at the first sample of one slot in one round; the next `samples` belong to it.
    pub fn of(&self, round: u32, slot: u32) -> Result<WindowSampler, DataError> {
        WindowSampler::at(
            self.sources.clone(),
            round_seed(self.seed, round),
            u64::from(slot) * self.samples,
        )
    }

    /// Appends the tokens of one sample of a round; samples are numbered through all slots.
    pub fn read(&self, round: u32, sample: u64, tokens: &mut Vec<u32>) -> Result<(), DataError> {
        WindowSampler::at(self.sources.clone(), round_seed(self.seed, round), sample)?.draw(tokens)
    }

    /// Number of windows per peer and round.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Tokens in a window, without the one that follows it.
    pub fn length(&self) -> usize {
        self.sources.first().map_or(0, |source| source.windows.length())
    }

    /// Number of slots until windows repeat within a round.
    pub fn disjoint_slots(&self) -> u64 {
        self.disjoint_samples() / self.samples
    }

    /// The samples of a round that belong to none of `slots` slots.
    ///
    /// No peer trains on a window among them in that round. If the data has fewer windows than
    /// that, these are the samples of the first free slot, and some of their windows may also
    /// belong to other slots.
    pub fn unassigned(&self, slots: u32) -> Range<u64> {
        let first = u64::from(slots) * self.samples;
        first..self.disjoint_samples().max(first + self.samples)
    }

    /// Samples of a round until the first source has used up one epoch.
    fn disjoint_samples(&self) -> u64 {
        let total: f64 = self.sources.iter().map(|source| source.weight).sum();
        let reach = self.sources.iter().map(|source| {
            // A single source is never ahead of its share, so none of its windows is set aside.
            if self.sources.len() == 1 {
                return source.windows.count();
            }
            // A source that is used up begins a second epoch, and its windows would repeat.
            let safe = source.windows.count().saturating_sub(MIXTURE_SLACK);
            (safe as f64 * total / source.weight) as u64
        });
        reach.min().unwrap_or(0)
    }
}

/// Hashed rather than `seed + round`: runs with neighbouring seeds would share whole rounds.
fn round_seed(seed: u64, round: u32) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key(SEED_DOMAIN);
    hasher.update(&seed.to_le_bytes()).update(&round.to_le_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
