//! The difference between this machine's clock and the store's.

use std::time::Duration;

use super::error::CommsError;
use crate::primitives::Timestamp;

/// The largest allowed difference between a peer's clock and the store's. S3 rejects requests
/// signed more than 15 minutes off; 5 minutes leave room for drift during a run.
pub const MAX_SKEW: Duration = Duration::from_secs(300);

/// Rejects clocks that differ by more than [`MAX_SKEW`].
///
/// The protocol never compares clocks, but signed requests and log readers do.
///
/// # Errors
/// [`CommsError::ClockSkew`].
pub fn check_clock_skew(ours: Timestamp, store: Timestamp) -> Result<(), CommsError> {
    match apart(&ours, &store) > MAX_SKEW {
        true => Err(CommsError::ClockSkew { ours, theirs: store, limit: MAX_SKEW }),
        false => Ok(()),
    }
}

/// The absolute difference of two instants.
pub(crate) fn apart(one: &Timestamp, other: &Timestamp) -> Duration {
    one.since(*other).max(other.since(*one))
}
