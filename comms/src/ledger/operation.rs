//! The operations of a ledger.

use serde::{Deserialize, Serialize};

use super::rejection::Rejection;
use crate::ledger::state::ValidatorSetChange;
use crate::membership::DeltaLocation;
use crate::objects::Lineage;
use crate::primitives::{Digest, PeerId, Round};

/// The most characters of a reason that depends on text from another party.
///
/// Reasons are printed and logged; an entry has up to 16 KiB that its author chose.
pub(super) const MAX_REASON: usize = 200;

/// One operation of a peer or validator.
///
/// [`LedgerState`](crate::ledger::state::LedgerState) decides whether it takes effect.
///
/// Serde refuses unknown fields, so an operation has one JSON form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Operation {
    /// Registers the author. No approval is needed.
    Register {
        /// The bucket with its deltas; the run's bucket if absent.
        bucket: Option<String>,
    },
    /// Changes the bucket of a registered peer.
    Announce {
        /// The new bucket; the run's bucket if absent.
        bucket: Option<String>,
    },
    /// Replaces the key of a registered peer.
    ///
    /// The new key signs the entry as well, so no peer can take over the key of another one.
    Rotate {
        /// The new key.
        to: PeerId,
    },
    /// Ends the registration of a peer.
    // With braces: the JSON is `{"leave":{}}`, so every operation is an object.
    Leave {},
    /// Names the verdict of a round, by a validator.
    Scores(Scores),
    /// Names the weights at the start of a round, by a validator.
    Checkpoint(CheckpointDigest),
    /// Votes for the next validator set; it is in force once a threshold of validators voted for
    /// it.
    Validators(ValidatorSetChange),
}

/// The outcome of a round as digests. The payouts of the peers are in the verdict, in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// The round.
    pub round: Round,
    /// The digest of the verdict.
    pub verdict: Digest,
    /// The digest of the payouts, in runs that pay.
    pub payouts: Option<Digest>,
}

/// The weights at the start of a round, with their lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointDigest {
    /// The round.
    pub round: Round,
    /// The lineage of the weights.
    pub lineage: Lineage,
    /// The digest of the weights in canonical order.
    pub weights: Digest,
}

impl Operation {
    /// A short name for output.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register",
            Self::Announce { .. } => "announce",
            Self::Rotate { .. } => "rotate",
            Self::Leave {} => "leave",
            Self::Scores(_) => "scores",
            Self::Checkpoint(_) => "checkpoint",
            Self::Validators(_) => "validators",
        }
    }

    /// Checks the rules that do not depend on the state: bucket URLs and validator sets.
    ///
    /// # Errors
    /// [`Rejection::Bucket`] for a URL that other peers cannot reach or that contains access keys,
    /// [`Rejection::InvalidValidatorSet`] for an impossible size or threshold.
    pub fn check(&self) -> Result<(), Rejection> {
        match self {
            Self::Register { bucket: Some(url) } | Self::Announce { bucket: Some(url) } => {
                DeltaLocation::check_url(url).map_err(|error| Rejection::Bucket {
                    reason: error.to_string().chars().take(MAX_REASON).collect(),
                })
            }
            Self::Validators(validator_set) => validator_set.check(),
            _ => Ok(()),
        }
    }
}
