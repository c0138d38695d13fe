//! The choice of the next token from its logits.

use crate::init::CounterRng;

/// How adventurous the choice is.
///
/// - `temperature` is finite and at least 0; 0 means greedy, whatever the rest.
/// - `top_k`, if any, is at least 1.
/// - `top_p`, if any, is above 0 and at most 1.
///
/// Checked by [`TokenSampler::new`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it: below 1 sharpens, above 1 flattens.
    pub temperature: f64,
    /// Only that many most likely tokens stay.
    pub top_k: Option<usize>,
    /// Then only the smallest set of most likely tokens that holds this share of what stayed.
    pub top_p: Option<f64>,
}

impl Sampling {
    /// Always the most likely token.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: None, top_p: None };
}

/// Why no token can be chosen.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingError {
    /// A setting outside its range.
    #[error("{setting} = {value} {rule}")]
    Setting {
        /// `temperature`, `top_k` or `top_p`.
        setting: &'static str,
        /// The value given.
        value: f64,
        /// What it must be.
        rule: &'static str,
    },
    /// Not one logit is a number above minus infinity, or one is plus infinity.
    #[error("the logits of {num_logits} tokens give no probabilities")]
    NoProbabilities {
        /// How many logits there were.
        num_logits: usize,
    },
}

impl SamplingError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Setting { .. } => None,
            Self::NoProbabilities { .. } => {
                Some("the weights are broken, evaluate an earlier checkpoint".to_owned())
            }
        }
    }
}

/// Chooser of tokens: a pure function of (seed, position, logits).
///
/// Equal logits rank by token id, the lower first. Positions need not come in
/// order, and choosing twice for the same position gives the same token.
/// Probabilities use the platform's `exp`, so texts repeat on one machine.
#[derive(Clone, Copy, Debug)]
pub struct TokenSampler {
    sampling: Sampling,
    rng: CounterRng,
}

impl TokenSampler {
    /// The chooser with those settings and seed.
    ///
    /// # Errors
    /// [`SamplingError::Setting`] names the first setting outside its range.
    pub fn new(sampling: Sampling, seed: u64) -> Result<Self, SamplingError> {
        let refuse = |setting, value, rule| Err(SamplingError::Setting { setting, value, rule });
        let Sampling { temperature, top_k, top_p } = sampling;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return refuse("temperature", temperature, "must be a number of at least 0");
        }
        if top_k == Some(0) {
            return refuse("top_k", 0.0, "must be at least 1");
        }
        if let Some(top_p) = top_p
            && !(top_p > 0.0 && top_p <= 1.0)
        {
            return refuse("top_p", top_p, "must be above 0 and at most 1");
        }
        Ok(Self { sampling, rng: CounterRng::new(seed, "sampler") })
    }

    /// The token for `position` of the text. Logits that are no number count as minus infinity.
    ///
    /// # Errors
    /// [`SamplingError::NoProbabilities`].
    pub fn choose(&self, logits: &[f32], position: u64) -> Result<u32, SamplingError> {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !largest.is_finite() {
            return Err(SamplingError::NoProbabilities { num_logits: logits.len() });
        }
        if self.sampling.temperature == 0.0 {
            let first = logits.iter().position(|logit| *logit == largest);
            return Ok(first.expect("the largest logit is one of them") as u32);
        }
        let mut candidates = self.candidates(logits, largest);
        let kept = self.nucleus(&mut candidates);
        Ok(draw(kept, self.rng.unit(position)))
    }

    /// Unnormalised probabilities of the tokens that top-k leaves.
    fn candidates(&self, logits: &[f32], largest: f32) -> Vec<TokenCandidate> {
        let weigh = |logit: f32| (f64::from(logit - largest) / self.sampling.temperature).exp();
        let tokens = logits.iter().enumerate().filter(|(_, logit)| **logit > f32::NEG_INFINITY);
        let mut candidates: Vec<_> = tokens
            .map(|(token, logit)| TokenCandidate {
                token: token as u32,
                logit: *logit,
                weight: weigh(*logit),
            })
            .collect();
        if let Some(count) = self.sampling.top_k
            && count < candidates.len()
        {
            candidates.select_nth_unstable_by(count - 1, TokenCandidate::rank);
            candidates.truncate(count);
        }
        candidates
    }

    /// The candidates that top-p leaves, in an order that only logits decide.
    fn nucleus<'a>(&self, candidates: &'a mut [TokenCandidate]) -> &'a [TokenCandidate] {
        let Some(share) = self.sampling.top_p.filter(|share| *share < 1.0) else {
            candidates.sort_unstable_by_key(|candidate| candidate.token);
            return candidates;
        };
        let needed = share * candidates.iter().map(|candidate| candidate.weight).sum::<f64>();
        // The nucleus is mostly small: sorting grows eightfold until it holds the share.
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

#[derive(Clone, Copy, Debug)]
struct TokenCandidate {
    token: u32,
    logit: f32,
    weight: f64,
}

impl TokenCandidate {
    /// Likelier first, then lower token id.
    fn rank(&self, other: &Self) -> std::cmp::Ordering {
        other.logit.total_cmp(&self.logit).then(self.token.cmp(&other.token))
    }
}

/// Brings the `count` likeliest candidates to the front, in order.
fn sort_front(candidates: &mut [TokenCandidate], count: usize) {
    if count < candidates.len() {
        candidates.select_nth_unstable_by(count, TokenCandidate::rank);
    }
    candidates[..count].sort_unstable_by(TokenCandidate::rank);
}

/// Length of the shortest prefix whose weights reach `needed`.
fn smallest_prefix(sorted: &[TokenCandidate], needed: f64) -> Option<usize> {
    let mut sum = 0.0;
    let last = sorted.iter().position(|candidate| {
        sum += candidate.weight;
        sum >= needed
    });
    last.map(|last| last + 1)
}

/// The candidate at which the running weight passes `unit` of the whole.
fn draw(candidates: &[TokenCandidate], unit: f64) -> u32 {
    let mut left = unit * candidates.iter().map(|candidate| candidate.weight).sum::<f64>();
    let chosen = candidates.iter().find(|candidate| {
        left -= candidate.weight;
        left < 0.0
    });
    // Rounding may leave a crumb over; it belongs to the last candidate.
    chosen.or(candidates.last()).expect("the largest logit is always a candidate").token
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f64, top_k: Option<usize>, top_p: Option<f64>) -> TokenSampler {
        TokenSampler::new(Sampling { temperature, top_k, top_p }, 9).unwrap()
    }

    /// How often each of `logits` is chosen over `count` positions.
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
    fn ties_go_to_the_lower_id() {
        let logits = [0.0, 2.0, 1.0, 2.0];
        assert_eq!(sampler(0.0, None, None).choose(&logits, 5), Ok(1));
        assert_eq!(counts(&sampler(1.0, Some(1), None), &logits, 50), [0.0, 50.0, 0.0, 0.0]);
        assert_eq!(counts(&sampler(1.0, None, Some(1e-9)), &logits, 50), [0.0, 50.0, 0.0, 0.0]);
    }

    #[test]
    fn frequencies_follow_the_temperature() {
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
    fn top_k_keeps_the_k_likeliest() {
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
    fn a_wide_nucleus_is_found_whole() {
        // 200 equal tokens: the set for p = 0.5 is the lower half of the ids.
        let counts = counts(&sampler(1.0, None, Some(0.5 - 1e-6)), &[1.5; 200], 4000);
        assert!(counts[..100].iter().all(|count| *count > 0.0));
        assert!(counts[100..].iter().all(|count| *count == 0.0));
    }

    #[test]
    fn seeds_reproduce_and_differ() {
        let logits = [0.0; 50];
        let choose = |seed| {
            let sampler =
                TokenSampler::new(Sampling { temperature: 1.0, ..Sampling::GREEDY }, seed).unwrap();
            (0..20).map(|position| sampler.choose(&logits, position).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(choose(1), choose(1));
        assert_ne!(choose(1), choose(2));
    }

    #[test]
    fn broken_logits_are_refused_and_stray_ones_skipped() {
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
    fn settings_out_of_range_are_named() {
        let bad = [
            (-0.1, None, None),
            (f64::NAN, None, None),
            (1.0, Some(0), None),
            (1.0, None, Some(0.0)),
            (1.0, None, Some(1.1)),
        ];
        let named = bad.map(|(temperature, top_k, top_p)| {
            match TokenSampler::new(Sampling { temperature, top_k, top_p }, 0).unwrap_err() {
                SamplingError::Setting { setting, .. } => setting,
                other => panic!("{other}"),
            }
        });
        assert_eq!(named, ["temperature", "temperature", "top_k", "top_p", "top_p"]);
    }
}
