//! Reading and checking an object. All reads of a run go through this function.

use std::time::Duration;

use bytes::Bytes;

use super::error::CommsError;
use crate::bucket::Bucket;
use crate::objects::Key;
use crate::primitives::Clock;

/// Number of downloads of an object that arrives damaged.
const TRIES: u32 = 5;

/// The pause after the first damaged download. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Reads the object under `key`, at most `limit` bytes, and returns the result of `check`.
///
/// Downloads again while `check` returns an error that damage in transit can cause.
///
/// # Errors
/// Errors of the bucket, or the last error of `check`.
pub(crate) async fn fetch<T>(
    bucket: &dyn Bucket,
    clock: &dyn Clock,
    key: &Key,
    limit: u64,
    check: impl Fn(Bytes) -> Result<T, CommsError>,
) -> Result<T, CommsError> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..TRIES {
        let object = bucket.get(key, limit).await?;
        tracing::debug!(%key, bytes = object.len(), "read");
        match check(object) {
            Err(error) if error.may_be_transit() => {
                tracing::warn!(%key, attempt, %error, "downloading a damaged object again");
                clock.sleep_until(clock.now() + pause).await;
            }
            outcome => return outcome,
        }
        pause *= 2;
    }
    check(bucket.get(key, limit).await?)
}
