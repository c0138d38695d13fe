//! The learning problem: a linear regression on sparse features.
//!
//! A window stands for a few samples, made from its number. A sample has some of the features, each 1 or -1, and a target:
//! the sum of the best weights of its features, and noise that nobody can predict. Stochastic gradient descent learns the
//! weights of frequent company slowly and the noise of its own windows at once, as training of language models does; so a
//! step helps more on the windows that it was made from than on others.

use crate::primitives::{PeerId, Round, SeededRng};

/// Chunks that the weights are cut into for sending.
pub(crate) const NUM_CHUNKS: usize = 16;
/// Weights of one chunk.
pub(crate) const CHUNK: usize = 64;
/// All weights.
pub(crate) const SIZE: usize = NUM_CHUNKS * CHUNK;
/// Windows that are assigned to a peer for one round.
pub(crate) const ASSIGNED: u64 = 12;

const SAMPLES: usize = 16;
const FEATURES: usize = 6;
/// Less of it makes frequent features more frequent.
const SKEW: usize = 16;
/// Standard deviation of what nobody can predict.
const NOISE: f64 = 1.0;
/// The learning rate of peers.
const RATE: f64 = 0.01;

/// Weights, or a step between two of them.
pub(crate) type ToyWeights = Vec<f64>;

/// Where windows of a run come from.
///
/// Real runs assign windows by seats. Here it is by names, so that contests with and without cheats differ in nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SampleSource {
    /// What a peer is assigned in a round.
    Peer(Round, PeerId),
    /// What nobody is assigned.
    Nobody,
}

/// The data of a run.
#[derive(Clone, Debug)]
pub(crate) struct Regression {
    seed: u64,
    best: ToyWeights,
}

/// The share of the features of all samples that the feature of a rank has, from 0 to `rank`, both included: the frequency
/// of the n-th feature falls with the root of n, from eight times that of the last one.
fn cumulated(rank: usize) -> f64 {
    let root = |rank: usize| ((rank + SKEW) as f64).sqrt();
    (root(rank + 1) - root(0)) / (root(SIZE) - root(0))
}

fn frequency(rank: usize) -> f64 {
    cumulated(rank) - if rank == 0 { 0.0 } else { cumulated(rank - 1) }
}

/// The feature at a place between 0 and 1 in the order of ranks.
fn feature(fraction: f64) -> usize {
    let root = |rank: usize| ((rank + SKEW) as f64).sqrt();
    let rank = (root(0) + fraction * (root(SIZE) - root(0))).powi(2) - SKEW as f64;
    place((rank.max(0.0) as usize).min(SIZE - 1))
}

/// Where the weight of a rank lies: chunks have features of all ranks.
fn place(rank: usize) -> usize {
    rank * 389 % SIZE
}

struct Sample {
    features: [(usize, f64); FEATURES],
    target: f64,
}

impl Regression {
    /// The problem of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = SeededRng::named(seed, "best weights", 0);
        Self { seed, best: (0..SIZE).map(|_| dice.normal()).collect() }
    }

    /// The weights before round 0.
    pub(crate) fn genesis() -> ToyWeights {
        vec![0.0; SIZE]
    }

    /// The mean loss over all windows that could be: what peers are to bring down.
    pub(crate) fn held_out(&self, weights: &[f64]) -> f64 {
        let distance = |place: usize| (weights[place] - self.best[place]).powi(2);
        let mean: f64 = (0..SIZE).map(|rank| frequency(rank) * distance(place(rank))).sum();
        (FEATURES as f64 * mean + NOISE * NOISE) / 2.0
    }

    /// The mean loss on some windows.
    pub(crate) fn loss(&self, weights: &[f64], source: SampleSource, windows: &[u64]) -> f64 {
        let loss = |sample: &Sample| sample.error(weights).powi(2) / 2.0;
        let sum: f64 = windows
            .iter()
            .flat_map(|window| self.samples(source, *window))
            .map(|sample| loss(&sample))
            .sum();
        sum / (windows.len().max(1) * SAMPLES) as f64
    }

    /// The step from `weights` that one pass over some windows leads to.
    pub(crate) fn train(
        &self,
        weights: &[f64],
        source: SampleSource,
        windows: std::ops::Range<u64>,
    ) -> ToyWeights {
        let mut trained = weights.to_vec();
        for sample in windows.flat_map(|window| self.samples(source, window)) {
            let step = RATE * sample.error(&trained);
            sample.features.iter().for_each(|(feature, sign)| trained[*feature] -= step * sign);
        }
        trained.iter().zip(weights).map(|(end, start)| end - start).collect()
    }

    fn samples(&self, source: SampleSource, window: u64) -> Vec<Sample> {
        let mut dice = match source {
            SampleSource::Peer(round, peer) => {
                SeededRng::named(self.seed, &peer.to_string(), u64::from(round.0) << 32 | window)
            }
            SampleSource::Nobody => SeededRng::named(self.seed, "nobody", window),
        };
        (0..SAMPLES).map(|_| self.sample(&mut dice)).collect()
    }

    fn sample(&self, dice: &mut SeededRng) -> Sample {
        let features = std::array::from_fn(|_| {
            let sign = if dice.bits() & 1 == 1 { 1.0 } else { -1.0 };
            (feature(dice.fraction()), sign)
        });
        let sum: f64 = features.iter().map(|(feature, sign)| self.best[*feature] * sign).sum();
        Sample { features, target: sum + NOISE * dice.normal() }
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
    fn a_step_helps_everywhere_and_most_on_its_own_windows() {
        let problem = Regression::new(1);
        let (own, windows): (_, Vec<u64>) =
            (SampleSource::Peer(Round(1), PeerId::from_bytes([1; 32])), (0..ASSIGNED).collect());
        let start = Regression::genesis();
        let end: ToyWeights = problem.train(&start, own, 0..ASSIGNED);
        let gain = |source| {
            1.0 - problem.loss(&end, source, &windows) / problem.loss(&start, source, &windows)
        };
        assert!(problem.held_out(&end) < problem.held_out(&start));
        assert!(gain(own) > 2.0 * gain(SampleSource::Nobody) && gain(SampleSource::Nobody) > 0.0);
        let held_out: Vec<u64> = (0..2000).collect();
        let measured = problem.loss(&start, SampleSource::Nobody, &held_out);
        assert!((measured / problem.held_out(&start) - 1.0).abs() < 0.03, "{measured}");
    }
}
