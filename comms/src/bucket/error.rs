//! Everything that can go wrong between a peer and a bucket.

use std::error::Error;
use std::time::Duration;

type BoxedError = Box<dyn Error + Send + Sync>;

/// Why a bucket did not do what was asked; `what` is the key or the part of the bucket that it was asked of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum BucketError {
    /// Nothing under that key.
    #[error("{what} does not exist")]
    NotFound { what: String },

    /// More than the reader was ready for; nothing was downloaded.
    #[error("{what} has {announced} bytes, limit is {limit}")]
    TooLarge { what: String, announced: u64, limit: u64 },

    /// The connection ended within the body.
    #[error("{what} ended at {got} of {expected} bytes")]
    Truncated { what: String, expected: u64, got: u64 },

    /// More objects than one listing may bring.
    #[error("{what} holds more than {limit} objects")]
    ListingTooLong { what: String, limit: usize },

    /// The store knows us and says no, or does not know us.
    #[error("no permission for {what}")]
    Denied {
        what: String,
        #[source]
        source: BoxedError,
    },

    /// No space left where the bucket is kept.
    #[error("bucket is full, {what} was not written")]
    Full {
        what: String,
        #[source]
        source: BoxedError,
    },

    /// The bucket itself is not there.
    #[error("no bucket for {location}")]
    Missing { location: String },

    /// The store cannot do what is needed, however often it is asked.
    #[error("store refuses {what}")]
    Refused {
        what: String,
        #[source]
        source: BoxedError,
    },

    /// The store did not answer, or with an error of its own that may pass.
    #[error("store is not available for {what}")]
    Unavailable {
        what: String,
        #[source]
        source: BoxedError,
    },

    /// No answer within the time for one try.
    #[error("no answer for {what} within {limit:?}")]
    TimedOut { what: String, limit: Duration },

    /// Every try failed until time ran out.
    #[error("gave up on {what} after {attempts} tries in {elapsed:?}")]
    GaveUp {
        what: String,
        attempts: u32,
        elapsed: Duration,
        #[source]
        source: Box<BucketError>,
    },

    /// The transfer would exceed what the peer may spend.
    #[error("{what} needs {needed} bytes, {left} are left of the budget of {budget}")]
    BudgetSpent { what: String, needed: u64, left: u64, budget: u64 },

    /// Not the URL of a bucket.
    #[error("`{url}` is not the URL of a bucket: {reason}")]
    InvalidUrl { url: String, reason: String },

    /// Credentials or options that do not fit together.
    #[error("access to the bucket is misconfigured: {reason}")]
    Misconfigured { reason: String },
}

impl BucketError {
    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Truncated { .. } | Self::Unavailable { .. } | Self::TimedOut { .. })
    }

    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Denied { .. } => {
                "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what the key may do here"
            }
            Self::Full { .. } => "free space or raise the quota; what was written so far is whole",
            Self::Missing { .. } => "create the bucket or folder, or correct its URL",
            Self::Unavailable { .. } | Self::TimedOut { .. } => {
                "check the endpoint and the network"
            }
            Self::GaveUp { source, .. } => return source.hint(),
            Self::BudgetSpent { .. } => "raise the byte budget, or leave the run here",
            Self::InvalidUrl { .. } => {
                "write s3://bucket/prefix, file:///folder or memory://; options follow as ?endpoint=…&region=…"
            }
            Self::ListingTooLong { .. } => "remove rounds that are no longer needed",
            _ => return None,
        };
        Some(text.into())
    }
}
