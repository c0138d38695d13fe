//! Sampling of the next token from its logits: temperature, top-k, top-p.

use crate::init::CounterRng;

/// Settings of a sampler, validated by [`TokenSampler::new`].
///
/// - `temperature` is finite and at least 0; 0 selects the most likely token and ignores the rest.
/// - `top_k`, if given, is at least 1.
/// - `top_p`, if given, is above 0 and at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits: below 1 sharpens the distribution, above 1 flattens it.
    pub temperature: f64,
    /// Number of most likely tokens that remain.
    pub top_k: Option<usize>,
    /// Share of the remaining probability. Applied after `top_k`, it keeps the smallest set of most
    /// likely tokens that reaches this share (nucleus sampling, arXiv 1904.09751).
    pub top_p: Option<f64>,
}

impl Sampling {
    /// Selects the most likely token.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: None, top_p: None };
}

/// Failure to sample a token.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingError {
    /// A setting outside its range.
    #[error("{setting} = {value} {rule}")]
    Setting {
        /// `temperature`, `top_k` or `top_p`.
        setting: &'static str,
        /// The invalid value.
        value: f64,
        /// The condition that the value violates.
        rule: &'static str,
    },
    /// Logits that are all minus infinity or NaN, or one that is plus infinity.
    #[error("cannot sample from {num_logits} logits: the largest is not finite")]
    NoProbabilities {
        /// Number of logits.
        num_logits: usize,
    },
}

impl SamplingError {
    /// An instruction that helps the user to resolve the error, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Setting { .. } => None,
            Self::NoProbabilities { .. } => {
                // Only weights with infinities or NaNs give such logits; training has diverged.
                Some("evaluate an earlier checkpoint; these weights are not usable".to_owned())
            }
        }
    }
}

/// Samples tokens as a pure function of (seed, position, logits).
///
/// Equal logits rank by token id, lower first. Positions can come in any order; the same position
/// and logits give the same token. Probabilities use the `exp` of the system, so a text is
/// reproducible on one machine only.
#[derive(Clone, Copy, Debug)]
pub struct TokenSampler {
    sampling: Sampling,
    rng: CounterRng,
}

impl TokenSampler {
    /// A sampler with these settings and seed.
    ///
    /// # Errors
    /// [`SamplingError::Setting`] with the first setting outside its range.
    pub fn new(sampling: Sampling, seed: u64) -> Result<Self, SamplingError> {
        let Sampling { temperature, top_k, top_p } = sampling;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return Err(invalid("temperature", temperature, "must be a number of at least 0"));
        }
        if top_k == Some(0) {
            return Err(invalid("top_k", 0.0, "must be at least 1"));
        }
        if let Some(top_p) = top_p
            && !(top_p > 0.0 && top_p <= 1.0)
        {
            return Err(invalid("top_p", top_p, "must be above 0 and at most 1"));
        }
        // The label separates these numbers from initial weights of the same seed.
        Ok(Self { sampling, rng: CounterRng::new(seed, "sampler") })
    }

    /// The token for `position` of the text. A NaN counts as minus infinity.
    ///
    /// # Errors
    /// [`SamplingError::NoProbabilities`].
    pub fn choose(&self, logits: &[f32], position: u64) -> Result<u32, SamplingError> {
        // `f32::max` returns the other operand if one is NaN, so NaNs are skipped.
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !largest.is_finite() {
            return Err(SamplingError::NoProbabilities { num_logits: logits.len() });
        }
        // Handled apart: the general case divides by the temperature.
        if self.sampling.temperature == 0.0 {
            let first = logits.iter().position(|logit| *logit == largest);
            return Ok(first.expect("the largest logit is one of them") as u32);
        }
        let mut candidates = self.candidates(logits, largest);
        let kept = self.nucleus(&mut candidates);
        Ok(draw(kept, self.rng.unit(position)))
    }

    /// Unnormalized probabilities of the tokens that remain after top-k.
    fn candidates(&self, logits: &[f32], largest: f32) -> Vec<TokenCandidate> {
        let tokens = logits.iter().enumerate().filter(|(_, logit)| **logit > f32::NEG_INFINITY);
        let mut candidates: Vec<_> = tokens
            .map(|(token, logit)| TokenCandidate {
                token: token as u32,
                logit: *logit,
                // At most 1: the largest logit is subtracted, so no temperature overflows.
                weight: (f64::from(logit - largest) / self.sampling.temperature).exp(),
            })
            .collect();
        if let Some(count) = self.sampling.top_k
            && count < candidates.len()
        {
            // Linear in the vocabulary, where a full sort would take most of the time of a token.
            candidates.select_nth_unstable_by(count - 1, TokenCandidate::rank);
            candidates.truncate(count);
        }
        candidates
    }

    /// The candidates that remain after top-p, in an order that depends only on the logits.
    fn nucleus<'a>(&self, candidates: &'a mut [TokenCandidate]) -> &'a [TokenCandidate] {
        let Some(share) = self.sampling.top_p.filter(|share| *share < 1.0) else {
            // Selection by top-k leaves an unspecified order, on which the sampled token would
            // depend.
            candidates.sort_unstable_by_key(|candidate| candidate.token);
            return candidates;
        };
        let needed = share * candidates.iter().map(|candidate| candidate.weight).sum::<f64>();
        // The nucleus is mostly small: the sorted prefix grows eightfold until it reaches the
        // share.
        let mut sorted = 64;
        loop {
            sorted = sorted.min(candidates.len());
            sort_front(candidates, sorted);
            if let Some(count) = smallest_prefix(&candidates[..sorted], needed) {
                return &candidates[..count];
            }
            if sorted == candidates.len() {
                return candidates;
            }
            sorted *= 8;
        }
    }
}

/// A token that can still be sampled.
#[derive(Clone, Copy, Debug)]
struct TokenCandidate {
    token: u32,
    logit: f32,
    weight: f64,
}

impl TokenCandidate {
    /// Order by falling logit, then by token id.
    fn rank(&self, other: &Self) -> std::cmp::Ordering {
        other.logit.total_cmp(&self.logit).then(self.token.cmp(&other.token))
    }
}

/// Moves the `count` most likely candidates to the front, sorted.
fn sort_front(candidates: &mut [TokenCandidate], count: usize) {
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count, TokenCandidate::rank);
    }
    candidates[..count].sort_unstable_by(TokenCandidate::rank);
}

/// Length of the shortest prefix with a total weight of at least `needed`.
fn smallest_prefix(sorted: &[TokenCandidate], needed: f64) -> Option<usize> {
    let mut sum = 0.0;
    let last = sorted.iter().position(|candidate| {
        sum += candidate.weight;
        sum >= needed
    });
    last.map(|last| last + 1)
}

/// The candidate at which the cumulative weight exceeds `unit` of the total (inverse transform
/// sampling).
fn draw(candidates: &[TokenCandidate], unit: f64) -> u32 {
    let mut left = unit * candidates.iter().map(|candidate| candidate.weight).sum::<f64>();
    let chosen = candidates.iter().find(|candidate| {
        left -= candidate.weight;
        left < 0.0
    });
    // The subtractions round, so a tiny rest may remain; it belongs to the last candidate.
    chosen.or(candidates.last()).expect("the largest logit is always a candidate").token
}

fn invalid(setting: &'static str, value: f64, rule: &'static str) -> SamplingError {
    SamplingError::Setting { setting, value, rule }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f64, top_k: Option<usize>, top_p: Option<f64>) -> TokenSampler {
        TokenSampler::new(Sampling { temperature, top_k, top_p }, 9).unwrap()
    }

    /// Number of positions below `count` at which each token is sampled.
    fn counts(sampler: &TokenSampler, logits: &[f32], count: u64) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        for position in 0..count {
            counts[sampler.choose(logits, position).unwrap() as usize] += 1.0;
        }
        counts
    }

    fn logits(probabilities: &[f64]) -> Vec<f32> {
        probabilities.iter().map(|probability| probability.ln() as f32).collect()
    }

    #[test]
    fn of_equal_logits_the_lower_id_ranks_first() {
        let logits = [0.0, 2.0, 1.0, 2.0];
        assert_eq!(sampler(0.0, None, None).choose(&logits, 5), Ok(1));
        assert_eq!(counts(&sampler(1.0, Some(1), None), &logits, 50), [0.0, 50.0, 0.0, 0.0]);
        assert_eq!(counts(&sampler(1.0, None, Some(1e-9)), &logits, 50), [0.0, 50.0, 0.0, 0.0]);
    }

    #[test]
    fn frequencies_match_the_softmax_at_each_temperature() {
        let logits = logits(&[0.5, 0.3, 0.2]);
        for temperature in [0.5f64, 1.0, 2.0] {
            let weights = [0.5f64, 0.3, 0.2].map(|probability| probability.powf(1.0 / temperature));
            let whole: f64 = weights.iter().sum();
            let counts = counts(&sampler(temperature, None, None), &logits, 40_000);
            for (count, weight) in counts.iter().zip(weights) {
                assert!(
                    (count / 40_000.0 - weight / whole).abs() < 0.01,
                    "{temperature}: {counts:?}"
                );
            }
        }
    }

    #[test]
    fn top_k_keeps_the_k_most_likely_tokens() {
        let counts = counts(&sampler(1.0, Some(2), None), &logits(&[0.2, 0.1, 0.4, 0.3]), 4000);
        assert_eq!((counts[0], counts[1]), (0.0, 0.0));
        assert!((counts[2] / 4000.0 - 4.0 / 7.0).abs() < 0.03, "{counts:?}");
    }

    #[test]
    fn top_p_keeps_the_smallest_set_that_reaches_p() {
        let logits = logits(&[0.1, 0.4, 0.2, 0.3]);
        for (share, kept) in [(0.39, 1), (0.41, 2), (0.69, 2), (0.71, 3), (0.91, 4), (1.0, 4)] {
            let counts = counts(&sampler(1.0, None, Some(share)), &logits, 2000);
            assert_eq!(counts.iter().filter(|count| **count > 0.0).count(), kept, "{share}");
        }
    }

    #[test]
    fn a_nucleus_beyond_the_first_sorted_prefix_is_complete() {
        // 200 equal tokens: the set for p = 0.5 is the lower half of the ids.
        let counts = counts(&sampler(1.0, None, Some(0.5 - 1e-6)), &[1.5; 200], 4000);
        assert!(counts[..100].iter().all(|count| *count > 0.0));
        assert!(counts[100..].iter().all(|count| *count == 0.0));
    }

    #[test]
    fn equal_seeds_give_equal_tokens_and_different_seeds_different_ones() {
        let logits = [0.0; 50];
        let sample = |seed| {
            let sampler =
                TokenSampler::new(Sampling { temperature: 1.0, ..Sampling::GREEDY }, seed).unwrap();
            (0..20).map(|position| sampler.choose(&logits, position).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(sample(1), sample(1));
        assert_ne!(sample(1), sample(2));
    }

    #[test]
    fn logits_without_a_finite_maximum_are_an_error_and_single_nans_are_skipped() {
        let sampler = sampler(1.0, None, None);
        for logits in [&[][..], &[f32::NAN; 3], &[f32::NEG_INFINITY; 2], &[0.0, f32::INFINITY]] {
            assert_eq!(
                sampler.choose(logits, 0),
                Err(SamplingError::NoProbabilities { num_logits: logits.len() })
            );
        }
        assert_eq!(sampler.choose(&[f32::NAN, 1.0, f32::NEG_INFINITY], 0), Ok(1));
    }

    #[test]
    fn settings_outside_their_range_are_reported_by_name() {
        let invalid = [
            (-0.1, None, None),
            (f64::NAN, None, None),
            (1.0, Some(0), None),
            (1.0, None, Some(0.0)),
            (1.0, None, Some(1.1)),
        ];
        let reported = invalid.map(|(temperature, top_k, top_p)| {
            match TokenSampler::new(Sampling { temperature, top_k, top_p }, 0).unwrap_err() {
                SamplingError::Setting { setting, .. } => setting,
                other => panic!("{other}"),
            }
        });
        assert_eq!(reported, ["temperature", "temperature", "top_k", "top_p", "top_p"]);
    }
}
