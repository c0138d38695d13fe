//! Failures of reading or writing a ledger.

use std::error::Error;

use super::rejection::Rejection;
use crate::bucket::BucketError;

/// The reason why a ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum LedgerError {
    /// The bucket with the log failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The operation would be skipped by all readers, so it was not written.
    #[error("the operation would have no effect: {0}")]
    Refused(#[from] Rejection),
    /// Written, but an entry that came first made it ineffective.
    #[error("entry {number} was written, but has no effect: {rejection}")]
    Overtaken { number: u64, rejection: Rejection },
    /// Other writers took every number that this one tried.
    #[error("{attempts} attempts to write lost against other writers")]
    Contended { attempts: u32 },
    /// An entry was removed.
    #[error("entry {missing} is missing from the ledger, but entry {next} exists")]
    Gap { missing: u64, next: u64 },
    /// The node of a contract failed or refused a request.
    #[error("{backend}: {reason}")]
    Backend {
        backend: String,
        reason: String,
        is_passing: bool,
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// Writing to a contract needs an account that pays.
    #[error("{backend} cannot be written to without a wallet")]
    NoWallet { backend: String },
    /// The contract belongs to another run.
    #[error("{backend} is the ledger of {got}, not {expected}")]
    OtherLedger { backend: String, expected: String, got: String },
}

impl LedgerError {
    /// Advice for the user, if there is any.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Bucket(error) => return error.hint(),
            Self::Refused(rejection) | Self::Overtaken { rejection, .. } => {
                return rejection.hint();
            }
            Self::Contended { .. } => "try again in a minute",
            Self::Gap { .. } => "restore the missing object, or stop using this ledger",
            Self::Backend { is_passing: true, .. } => {
                "check the address and the network, then try again"
            }
            // A definite answer of the node: trying again gives the same one.
            Self::Backend { .. } => return None,
            Self::NoWallet { .. } => {
                "set COVEY_WALLET_KEY to the secret key of an account, or name a file with it"
            }
            Self::OtherLedger { .. } => "compare the contract address with the announced one",
        };
        Some(text.into())
    }

    /// Returns true if the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            // A retry that reached its deadline is over, but the outage behind it may still pass.
            Self::Bucket(error) => {
                error.is_transient() || matches!(error, BucketError::GaveUp { .. })
            }
            Self::Contended { .. } => true,
            Self::Backend { is_passing, .. } => *is_passing,
            _ => false,
        }
    }
}
