//! The validators of a run, and the number of them that must agree.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::primitives::{PeerId, Round};

/// The validators of a run with the number that must agree.
///
/// The invariant is that of [`check_threshold`]. Deserialisation does not check it;
/// [`Description::check`](crate::run::Description::check) does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorSet {
    validators: BTreeSet<PeerId>,
    threshold: u32,
}

/// The reason why validators and a threshold are not a validator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValidatorSetError {
    /// No validator, or too many.
    #[error("{got} validators, allowed are 1 to {limit}")]
    Count {
        /// The number of validators.
        got: usize,
        /// The largest number of validators.
        limit: usize,
    },
    /// A threshold of at most half of the validators, or of more than all.
    #[error("threshold {got} for {count} validators, allowed are {least} to {count}")]
    Threshold {
        /// The threshold.
        got: usize,
        /// The number of validators, which is the largest threshold.
        count: usize,
        /// The smallest threshold.
        least: usize,
    },
}

/// Checks that a set of `count` validators can have this threshold.
///
/// - There are 1 to [`ValidatorSet::MAX`] validators.
/// - The threshold is more than half of them, so any two groups that agree have a common member,
///   and at most all of them.
///
/// # Errors
/// [`ValidatorSetError`] with the number that breaks the rule.
pub fn check_threshold(count: usize, threshold: usize) -> Result<(), ValidatorSetError> {
    if !(1..=ValidatorSet::MAX).contains(&count) {
        return Err(ValidatorSetError::Count { got: count, limit: ValidatorSet::MAX });
    }
    let least = count / 2 + 1;
    if !(least..=count).contains(&threshold) {
        return Err(ValidatorSetError::Threshold { got: threshold, count, least });
    }
    Ok(())
}

impl ValidatorSet {
    /// Largest number of validators of a run.
    ///
    /// It bounds the length of a certificate and of the ledger entries that name validators.
    pub const MAX: usize = 64;

    /// Creates a validator set, or returns `None` if [`check_threshold`] fails.
    pub fn new(validators: BTreeSet<PeerId>, threshold: u32) -> Option<Self> {
        let validator_set = Self { validators, threshold };
        validator_set.is_valid().then_some(validator_set)
    }

    /// A set of one validator.
    pub fn single(validator: PeerId) -> Self {
        Self { validators: [validator].into(), threshold: 1 }
    }

    /// Returns true if [`check_threshold`] passes.
    pub(crate) fn is_valid(&self) -> bool {
        check_threshold(self.validators.len(), self.threshold()).is_ok()
    }

    /// All validators, in ascending order.
    pub fn validators(&self) -> &BTreeSet<PeerId> {
        &self.validators
    }

    /// The number of validators that must agree.
    pub fn threshold(&self) -> usize {
        self.threshold as usize
    }

    /// The number of validators that may be silent or dishonest without effect on the run.
    pub fn spare(&self) -> usize {
        self.validators.len() - self.threshold()
    }

    /// Returns true if `peer` is a validator.
    pub fn contains(&self, peer: PeerId) -> bool {
        self.validators.contains(&peer)
    }

    /// The proposers of `round`, in the order in which the turn passes after each timeout.
    pub fn turns(&self, round: Round) -> impl Iterator<Item = PeerId> {
        // The first turn rotates, so no validator decides more often than the others. At least 1,
        // since a set from hostile bytes may be empty.
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
    fn a_threshold_is_more_than_half_and_at_most_all() {
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
    fn the_error_names_the_allowed_numbers() {
        let text = |count, threshold| check_threshold(count, threshold).unwrap_err().to_string();
        assert_eq!(text(0, 0), "0 validators, allowed are 1 to 64");
        assert_eq!(text(65, 40), "65 validators, allowed are 1 to 64");
        assert_eq!(text(4, 2), "threshold 2 for 4 validators, allowed are 3 to 4");
        assert_eq!(text(2, 3), "threshold 3 for 2 validators, allowed are 2 to 2");
        assert_eq!(check_threshold(ValidatorSet::MAX, 33), Ok(()));
    }

    #[test]
    fn the_turn_moves_by_one_validator_with_each_round() {
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
