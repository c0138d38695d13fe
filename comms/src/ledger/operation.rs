//! What can be said in a ledger.

use serde::{Deserialize, Serialize};

use super::rejection::Rejection;
use crate::ledger::state::ValidatorSetChange;
use crate::membership::DeltaLocation;
use crate::objects::Lineage;
use crate::primitives::{Digest, PeerId, Round};

/// One thing that one peer or validator says; whether it takes effect is up to the [`State`](crate::ledger::state::State) it meets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Operation {
    /// The author takes part from now on; nobody has to approve.
    Register {
        /// Where it keeps its deltas, if not in the run's bucket.
        bucket: Option<String>,
    },
    /// A member moves its deltas.
    Announce {
        /// Where to, if not into the run's bucket.
        bucket: Option<String>,
    },
    /// A member goes on under another key, which signs the entry, too: nobody can take over a key that is not his.
    Rotate {
        /// The new key.
        to: PeerId,
    },
    /// A member takes part no longer.
    Leave {},
    /// A validator names the verdict on a round.
    Scores(Scores),
    /// A validator names the weights at the start of a round.
    Checkpoint(CheckpointDigest),
    /// A validator votes for other validators; the vote of as many as the threshold asks for makes it so.
    Validators(ValidatorSetChange),
}

/// The outcome of a round, by digest: what peers earned stands in the verdict itself, in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// The round.
    pub round: Round,
    /// The digest of its verdict.
    pub verdict: Digest,
    /// The digest of what is paid out for it, where something is paid.
    pub payouts: Option<Digest>,
}

/// The weights at the start of a round, by what led to them and by what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointDigest {
    /// The round.
    pub round: Round,
    /// What led to the weights.
    pub lineage: Lineage,
    /// The digest of the weights in canonical order.
    pub weights: Digest,
}

impl Operation {
    /// A word for people.
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

    /// Refuses what no state could accept: buckets that others cannot reach or that hold keys, impossible councils.
    ///
    /// # Errors
    /// [`Rejection::Bucket`] or [`Rejection::ValidatorSetChange`].
    pub fn check(&self) -> Result<(), Rejection> {
        match self {
            Self::Register { bucket: Some(url) } | Self::Announce { bucket: Some(url) } => {
                DeltaLocation::check_url(url).map_err(|error| Rejection::Bucket {
                    reason: error.to_string().chars().take(200).collect(),
                })
            }
            Self::Validators(validator_set) => validator_set.check(),
            _ => Ok(()),
        }
    }
}
