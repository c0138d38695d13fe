//! The errors of buckets. They carry plain values, so this file imports no other part of the
//! folder.

use std::error::Error;
use std::time::Duration;

type BoxedError = Box<dyn Error + Send + Sync>;

/// The reason why a request to a bucket failed. `what` is the key or the prefix of the request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum BucketError {
    /// The key holds no object.
    #[error("{what} does not exist")]
    NotFound { what: String },

    /// The object is larger than the limit of the reader. Its body was not downloaded.
    #[error("{what} has {announced} bytes, limit is {limit}")]
    TooLarge { what: String, announced: u64, limit: u64 },

    /// The body ended before its announced length.
    #[error("{what} ended at {got} of {expected} bytes")]
    Truncated { what: String, expected: u64, got: u64 },

    /// The prefix holds more objects than one listing may return.
    #[error("{what} holds more than {limit} objects")]
    ListingTooLong { what: String, limit: usize },

    /// The store rejects the key pair, or the key pair has no right to do this.
    #[error("no permission for {what}")]
    Denied {
        what: String,
        #[source]
        source: BoxedError,
    },

    /// The disk or the quota behind the bucket is full.
    #[error("bucket is full, {what} was not written")]
    Full {
        what: String,
        #[source]
        source: BoxedError,
    },

    /// The bucket itself does not exist.
    #[error("bucket not found: {location}")]
    Missing { location: String },

    /// The store does not support the request, so a repetition cannot succeed.
    #[error("store refuses {what}")]
    Refused {
        what: String,
        #[source]
        source: BoxedError,
    },

    /// The store did not answer, or answered with an error that may pass.
    #[error("store is unavailable for {what}")]
    Unavailable {
        what: String,
        #[source]
        source: BoxedError,
    },

    /// One attempt took longer than its limit.
    #[error("no answer for {what} within {limit:?}")]
    TimedOut { what: String, limit: Duration },

    /// All attempts failed until the deadline.
    #[error("gave up on {what} after {attempts} attempts in {elapsed:?}")]
    GaveUp {
        what: String,
        attempts: u32,
        elapsed: Duration,
        #[source]
        source: Box<BucketError>,
    },

    /// The transfer would exceed the byte budget.
    #[error("{what} needs {needed} bytes, {left} of the byte budget of {budget} are left")]
    BudgetSpent { what: String, needed: u64, left: u64, budget: u64 },

    /// The text is not the URL of a bucket.
    #[error("`{url}` is not a bucket URL: {reason}")]
    InvalidUrl { url: String, reason: String },

    /// The credentials or options are incomplete or malformed.
    #[error("access to the bucket is misconfigured: {reason}")]
    Misconfigured { reason: String },
}

impl BucketError {
    /// Returns true if the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        // An unknown error counts as `Unavailable`: it is cheaper to repeat a hopeless request
        // until the deadline than to end a run because of an error that would have passed.
        matches!(self, Self::Truncated { .. } | Self::Unavailable { .. } | Self::TimedOut { .. })
    }

    /// Returns the action that resolves the error, if the user can do something.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Denied { .. } => {
                "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the permissions of the key"
            }
            Self::Full { .. } => {
                "free space or raise the quota; objects already written are complete"
            }
            Self::Missing { .. } => "create the bucket or folder, or correct its URL",
            Self::Unavailable { .. } | Self::TimedOut { .. } => {
                "check the endpoint and the network"
            }
            // The cause of the last attempt is the best guess at the cause of all.
            Self::GaveUp { source, .. } => return source.hint(),
            Self::BudgetSpent { .. } => "raise the byte budget, or leave the run",
            Self::InvalidUrl { .. } => {
                "write s3://bucket/prefix, file:///folder or memory://; options follow as \
                 ?endpoint=…&region=…"
            }
            Self::ListingTooLong { .. } => "remove rounds that are no longer needed",
            _ => return None,
        };
        Some(text.into())
    }
}
