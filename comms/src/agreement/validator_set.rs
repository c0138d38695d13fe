//! Whose word counts in a run: the validators, and how many of them must agree.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::primitives::{PeerId, Round};

/// The validators of a run and how many of them sign what counts.
///
/// - There are 1 to [`ValidatorSet::MAX`] validators.
/// - More than half of them must agree, so that no two groups without a common member do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorSet {
    validators: BTreeSet<PeerId>,
    threshold: u32,
}

impl ValidatorSet {
    /// The most validators of one run.
    pub const MAX: usize = 64;

    /// `threshold` out of `validators`; nothing if that is no quorum.
    pub fn new(validators: BTreeSet<PeerId>, threshold: u32) -> Option<Self> {
        let validator_set = Self { validators, threshold };
        validator_set.is_valid().then_some(validator_set)
    }

    /// One validator whose word is enough.
    pub fn single(validator: PeerId) -> Self {
        Self { validators: [validator].into(), threshold: 1 }
    }

    pub(crate) fn is_valid(&self) -> bool {
        let (count, threshold) = (self.validators.len(), self.threshold as usize);
        (1..=Self::MAX).contains(&count) && threshold <= count && 2 * threshold > count
    }

    /// All validators, ascending.
    pub fn validators(&self) -> &BTreeSet<PeerId> {
        &self.validators
    }

    /// How many must agree.
    pub fn threshold(&self) -> usize {
        self.threshold as usize
    }

    /// How many may be silent or lie without doing harm.
    pub fn spare(&self) -> usize {
        self.validators.len() - self.threshold()
    }

    /// Whether `peer` is a validator.
    pub fn contains(&self, peer: PeerId) -> bool {
        self.validators.contains(&peer)
    }

    /// Whose turn it is to propose in `round`: first one, and those after it should it be silent.
    pub fn turns(&self, round: Round) -> impl Iterator<Item = PeerId> {
        let first = round.0 as usize % self.validators.len().max(1);
        self.validators.iter().cycle().skip(first).take(self.validators.len()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(numbers: &[u8]) -> BTreeSet<PeerId> {
        numbers.iter().map(|number| PeerId::from_bytes([*number; 32])).collect()
    }

    #[test]
    fn a_quorum_is_more_than_half_and_no_more_than_all() {
        for (count, threshold, is_valid) in [
            (1, 1, true),
            (3, 2, true),
            (3, 1, false),
            (4, 2, false),
            (4, 3, true),
            (2, 3, false),
            (0, 0, false),
        ] {
            let validators = peers(&(0..count).collect::<Vec<_>>());
            assert_eq!(
                ValidatorSet::new(validators, threshold).is_some(),
                is_valid,
                "{threshold} of {count}"
            );
        }
    }

    #[test]
    fn every_validator_has_the_first_turn_in_its_round() {
        let validator_set = ValidatorSet::new(peers(&[1, 2, 3]), 2).unwrap();
        let turns = |round| {
            validator_set.turns(Round(round)).map(|peer| peer.as_bytes()[0]).collect::<Vec<_>>()
        };
        assert_eq!(
            [turns(0), turns(1), turns(2), turns(3)],
            [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]
        );
        assert_eq!(validator_set.spare(), 1);
    }
}
