//! The validators of a run, and how many of them must agree.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ledger::rejection::Rejection;
use crate::primitives::{Digest, PeerId, RunId};

/// The most validators that a run can have: every entry that names them must stay small.
pub const MAX_VALIDATORS: usize = 64;

/// Who validates.
///
/// - There are 1 to [`MAX_VALIDATORS`] of them.
/// - The threshold is more than half of them, so that two halves cannot agree on different things, and not more than all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorSetChange {
    /// How often it changed before; the run's first has zero.
    pub generation: u64,
    /// Whose word counts.
    pub members: BTreeSet<PeerId>,
    /// How many must say the same.
    pub threshold: u32,
    /// The digest of what the keeper of the ledger knows the members by, such as accounts of a chain; none in a bucket.
    ///
    /// Two votes are the same only if this is, too: else a contract and its readers could count differently.
    pub accounts: Option<Digest>,
}

impl ValidatorSetChange {
    /// Holds the council to its invariants.
    ///
    /// # Errors
    /// [`Rejection::ValidatorSetChange`].
    pub fn check(&self) -> Result<(), Rejection> {
        let count = self.members.len();
        let threshold = usize::try_from(self.threshold).unwrap_or(usize::MAX);
        if !(1..=MAX_VALIDATORS).contains(&count) {
            return Err(Rejection::Council {
                reason: format!("{count} validators are not 1 to {MAX_VALIDATORS}"),
            });
        }
        if threshold > count || threshold <= count / 2 {
            let reason = format!(
                "threshold {threshold} is not more than half of {count} validators and at most all"
            );
            return Err(Rejection::Council { reason });
        }
        Ok(())
    }
}

/// What a ledger begins with: the run that it belongs to and the run's first validators, as the run's description names
/// both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The run.
    pub run: RunId,
    /// Its first validators; their generation is zero.
    pub validator_set: ValidatorSetChange,
}

impl Genesis {
    /// The charter of a run whose description names these validators and this threshold.
    ///
    /// # Errors
    /// [`Rejection::ValidatorSetChange`] if they make no council.
    pub fn new(
        run: RunId,
        validators: BTreeSet<PeerId>,
        threshold: u32,
    ) -> Result<Self, Rejection> {
        let validator_set =
            ValidatorSetChange { generation: 0, members: validators, threshold, accounts: None };
        validator_set.check()?;
        Ok(Self { run, validator_set })
    }
}
