//! The one place where objects are fetched and held to what they should be.

use std::time::Duration;

use bytes::Bytes;

use super::error::CommsError;
use crate::bucket::Bucket;
use crate::objects::Key;
use crate::primitives::Clock;

/// How often an object is fetched that arrives damaged.
const TRIES: u32 = 5;

/// The pause after the first damaged arrival; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What `check` makes of the object under `key`, which may have at most `limit` bytes.
///
/// Fetches it again while `check` refuses it for something that may have happened on the way.
///
/// # Errors
/// What the bucket says, or the last refusal.
pub(crate) async fn fetch<T>(
    bucket: &dyn Bucket,
    clock: &dyn Clock,
    key: &Key,
    limit: u64,
    check: impl Fn(Bytes) -> Result<T, CommsError>,
) -> Result<T, CommsError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match check(bucket.get(key, limit).await?) {
            Err(error) if error.may_be_transit() => clock.sleep_until(clock.now() + pause).await,
            outcome => return outcome,
        }
        pause *= 2;
    }
    check(bucket.get(key, limit).await?)
}
