//! Everything that can go wrong between a writer or reader and a ledger.

use std::error::Error;

use super::rejection::Rejection;
use crate::bucket::BucketError;

/// Why a ledger did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum LedgerError {
    /// The bucket that keeps the ledger did not do what was asked.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// What was to be said would have no effect, and was not written.
    #[error("the ledger would not count it: {0}")]
    Refused(#[from] Rejection),
    /// Written, but something that came before it took its effect away.
    #[error("entry {number} was written, but has no effect: {rejection}")]
    Overtaken { number: u64, rejection: Rejection },
    /// Others wrote every time before us.
    #[error("{attempts} others wrote before us, one after the other")]
    Crowded { attempts: u32 },
    /// Entries that once were there are gone.
    #[error("the ledger lacks entry {missing}, though entry {next} is there")]
    Gap { missing: u64, next: u64 },
    /// The keeper of the ledger is away or says no.
    #[error("{keeper}: {reason}")]
    Keeper {
        keeper: String,
        reason: String,
        is_passing: bool,
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// Whoever writes needs an account there.
    #[error("{keeper} can be read, but not written to without a wallet")]
    NoWallet { keeper: String },
    /// The keeper's ledger is another one.
    #[error("{keeper} is the ledger of {got}, not {expected}")]
    OtherLedger { keeper: String, expected: String, got: String },
}

impl LedgerError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Bucket(error) => return error.hint(),
            Self::Refused(rejection) | Self::Overtaken { rejection, .. } => {
                return rejection.hint();
            }
            Self::Crowded { .. } => "try again in a minute",
            Self::Gap { .. } => {
                "someone removed it: put the object back, or do not trust this ledger"
            }
            Self::Keeper { is_passing: true, .. } => {
                "check the address and the network, and try again"
            }
            Self::Keeper { .. } => return None,
            Self::NoWallet { .. } => {
                "put the secret key of an account into COVEY_WALLET_KEY, or name a file with it"
            }
            Self::OtherLedger { .. } => "compare the contract's address with the announced one",
        };
        Some(text.into())
    }

    /// Whether the same may succeed a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Bucket(error) => {
                error.is_transient() || matches!(error, BucketError::GaveUp { .. })
            }
            Self::Crowded { .. } => true,
            Self::Keeper { is_passing, .. } => *is_passing,
            _ => false,
        }
    }
}
