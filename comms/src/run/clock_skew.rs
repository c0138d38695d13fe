//! The difference between this machine's clock and the store's.

use std::time::Duration;

use super::error::CommsError;
use crate::primitives::Timestamp;

/// The most that two clocks of a run may be apart.
pub const MAX_SKEW: Duration = Duration::from_secs(300);

/// Refuses clocks that are more than [`MAX_SKEW`] apart.
///
/// Rounds do not compare clocks, but people, logs and signed requests do; stores refuse requests from far off.
///
/// # Errors
/// [`CommsError::ClockSkew`].
pub fn check_clock_skew(ours: Timestamp, store: Timestamp) -> Result<(), CommsError> {
    match apart(&ours, &store) > MAX_SKEW {
        true => Err(CommsError::ClockSkew { ours, theirs: store, limit: MAX_SKEW }),
        false => Ok(()),
    }
}

/// The time between two instants, whichever is first.
pub(crate) fn apart(one: &Timestamp, other: &Timestamp) -> Duration {
    one.since(*other).max(other.since(*one))
}
