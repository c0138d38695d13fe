//! The validator set of a run, and the genesis config of its ledger.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::agreement::check_threshold;
use crate::ledger::rejection::Rejection;
use crate::primitives::{Digest, PeerId, RunId};

/// A validator set with its generation.
///
/// Count and threshold satisfy [`check_threshold`], as in the description of a run. The contract
/// has the same limits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorSetChange {
    /// The number of changes before this one; the first set of a run has zero.
    pub generation: u64,
    /// The keys of the validators.
    pub members: BTreeSet<PeerId>,
    /// The number of members that must agree.
    pub threshold: u32,
    /// The digest of the wallets of the members, in a contract; absent in a bucket.
    ///
    /// It is part of the comparison of two votes. Otherwise a contract, which counts wallets, and
    /// its readers, which count keys, could disagree on the next set.
    pub accounts: Option<Digest>,
}

impl ValidatorSetChange {
    /// Checks the invariants above.
    ///
    /// # Errors
    /// [`Rejection::InvalidValidatorSet`].
    pub fn check(&self) -> Result<(), Rejection> {
        let threshold = usize::try_from(self.threshold).unwrap_or(usize::MAX);
        check_threshold(self.members.len(), threshold)
            .map_err(|error| Rejection::InvalidValidatorSet { reason: error.to_string() })
    }
}

/// The genesis config of a ledger: the run and its first validator set, as in the run description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The run.
    pub run: RunId,
    /// The first validator set, of generation zero.
    pub validator_set: ValidatorSetChange,
}

impl Genesis {
    /// The genesis config of a run with these validators and this threshold.
    ///
    /// # Errors
    /// [`Rejection::InvalidValidatorSet`] for an impossible size or threshold.
    pub fn new(
        run: RunId,
        validators: BTreeSet<PeerId>,
        threshold: u32,
    ) -> Result<Self, Rejection> {
        // The description names keys, not wallets, so the first set never has accounts.
        let validator_set =
            ValidatorSetChange { generation: 0, members: validators, threshold, accounts: None };
        validator_set.check()?;
        Ok(Self { run, validator_set })
    }
}
