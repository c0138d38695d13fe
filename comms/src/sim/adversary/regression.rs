//! The learning problem: linear regression on sparse features.
//!
//! A window is a few samples that follow from its number. A sample has some of the features, each
//! with sign 1 or -1, and a target: the signed sum of the optimal weights of its features, plus
//! noise. Stochastic gradient descent learns the weights slowly and the noise of its windows at
//! once. A step therefore helps more on the windows that it was trained on than on others, as in
//! the training of language models. The Gauntlet relies on this difference.

use std::ops::Range;

use crate::primitives::{PeerId, Round, SeededRng};

/// Chunks of a delta.
pub(super) const NUM_CHUNKS: usize = 16;
/// Weights per chunk. Positions within a chunk fit into one byte.
pub(super) const CHUNK: usize = 64;
/// The number of weights.
pub(super) const SIZE: usize = NUM_CHUNKS * CHUNK;
/// Windows that are assigned to a peer in one round.
pub(super) const ASSIGNED: u64 = 12;

/// Samples per window.
const SAMPLES: usize = 16;
/// Features per sample.
const FEATURES: usize = 6;
/// The offset of ranks. A smaller one makes frequent features more frequent.
const SKEW: usize = 16;
/// The standard deviation of the noise in targets.
const NOISE: f64 = 1.0;
const LEARNING_RATE: f64 = 0.01;

/// Weights, or a step between two of them.
pub(super) type ToyWeights = Vec<f64>;

/// The source of the windows of a run.
///
/// Real runs assign windows by slots. Contests assign them by keys, so an honest peer has the same
/// data with and without attackers.
#[derive(Clone, Copy, Debug)]
pub(super) enum SampleSource {
    /// The windows that a peer is assigned in a round.
    Peer(Round, PeerId),
    /// The windows that are assigned to no peer.
    Unassigned,
}

/// The data of a contest, with the optimal weights.
#[derive(Clone, Debug)]
pub(super) struct Regression {
    seed: u64,
    optimum: ToyWeights,
}

fn root(rank: usize) -> f64 {
    ((rank + SKEW) as f64).sqrt()
}

/// The cumulative frequency of the ranks from 0 to `rank`.
///
/// Ranks order features by frequency, which falls with the root of the rank plus [`SKEW`]. The
/// first feature is eight times as frequent as the last one.
fn cumulative_frequency(rank: usize) -> f64 {
    (root(rank + 1) - root(0)) / (root(SIZE) - root(0))
}

fn frequency(rank: usize) -> f64 {
    cumulative_frequency(rank) - if rank == 0 { 0.0 } else { cumulative_frequency(rank - 1) }
}

/// The feature at a fraction of the cumulative frequency: the inverse of the function above.
fn feature(fraction: f64) -> usize {
    let rank = (root(0) + fraction * (root(SIZE) - root(0))).powi(2) - SKEW as f64;
    // Rounding can lead slightly outside of the ranks.
    index_of((rank.max(0.0) as usize).min(SIZE - 1))
}

/// The index of the weight of a rank.
// 389 is odd, so this is a permutation of the 1,024 weights that gives each chunk features of all
// frequencies. In order of ranks, the first chunk would hold most of the learnable loss.
fn index_of(rank: usize) -> usize {
    rank * 389 % SIZE
}

/// Indices and signs of features, with the target.
struct Sample {
    features: [(usize, f64); FEATURES],
    target: f64,
}

impl Regression {
    /// The problem of a seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = SeededRng::named(seed, "best weights", 0);
        Self { seed, optimum: (0..SIZE).map(|_| rng.normal()).collect() }
    }

    /// The weights before round 0.
    pub(super) fn genesis() -> ToyWeights {
        vec![0.0; SIZE]
    }

    /// The expected loss over all possible windows, in closed form.
    ///
    /// Signs are independent, so the errors of different features are uncorrelated and their
    /// squares add up.
    pub(super) fn held_out(&self, weights: &[f64]) -> f64 {
        let errors = (0..SIZE).map(|rank| frequency(rank) * self.squared_error(weights, rank));
        let mean: f64 = errors.sum();
        (FEATURES as f64 * mean + NOISE * NOISE) / 2.0
    }

    /// The squared error of the weight of a rank.
    fn squared_error(&self, weights: &[f64], rank: usize) -> f64 {
        let at = index_of(rank);
        (weights[at] - self.optimum[at]).powi(2)
    }

    /// The mean loss on some windows.
    pub(super) fn loss(&self, weights: &[f64], source: SampleSource, windows: &[u64]) -> f64 {
        let sum: f64 = windows
            .iter()
            .flat_map(|window| self.samples(source, *window))
            .map(|sample| sample.error(weights).powi(2) / 2.0)
            .sum();
        sum / (windows.len().max(1) * SAMPLES) as f64
    }

    /// The step of one pass of stochastic gradient descent over some windows.
    pub(super) fn train(
        &self,
        weights: &[f64],
        source: SampleSource,
        windows: Range<u64>,
    ) -> ToyWeights {
        let mut trained = weights.to_vec();
        for sample in windows.flat_map(|window| self.samples(source, window)) {
            let step = LEARNING_RATE * sample.error(&trained);
            sample.features.iter().for_each(|(feature, sign)| trained[*feature] -= step * sign);
        }
        trained.iter().zip(weights).map(|(end, start)| end - start).collect()
    }

    fn samples(&self, source: SampleSource, window: u64) -> Vec<Sample> {
        // The names are part of the published results: other names are other data.
        let mut rng = match source {
            SampleSource::Peer(round, peer) => {
                SeededRng::named(self.seed, &peer.to_string(), u64::from(round.0) << 32 | window)
            }
            SampleSource::Unassigned => SeededRng::named(self.seed, "nobody", window),
        };
        (0..SAMPLES).map(|_| self.sample(&mut rng)).collect()
    }

    fn sample(&self, rng: &mut SeededRng) -> Sample {
        let features = std::array::from_fn(|_| {
            let sign = if rng.bits() & 1 == 1 { 1.0 } else { -1.0 };
            (feature(rng.fraction()), sign)
        });
        let sum: f64 = features.iter().map(|(feature, sign)| self.optimum[*feature] * sign).sum();
        Sample { features, target: sum + NOISE * rng.normal() }
    }
}

impl Sample {
    fn error(&self, weights: &[f64]) -> f64 {
        self.features.iter().map(|(feature, sign)| weights[*feature] * sign).sum::<f64>()
            - self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_helps_on_all_windows_and_most_on_its_own() {
        let problem = Regression::new(1);
        let (own, windows): (_, Vec<u64>) =
            (SampleSource::Peer(Round(1), PeerId::from_bytes([1; 32])), (0..ASSIGNED).collect());
        let start = Regression::genesis();
        let end: ToyWeights = problem.train(&start, own, 0..ASSIGNED);
        let [own, unassigned] = [own, SampleSource::Unassigned].map(|source| {
            1.0 - problem.loss(&end, source, &windows) / problem.loss(&start, source, &windows)
        });
        assert!(problem.held_out(&end) < problem.held_out(&start));
        assert!(own > 2.0 * unassigned && unassigned > 0.0, "gains {own} and {unassigned}");
        let held_out: Vec<u64> = (0..2000).collect();
        let measured = problem.loss(&start, SampleSource::Unassigned, &held_out);
        assert!((measured / problem.held_out(&start) - 1.0).abs() < 0.03, "{measured}");
    }
}
