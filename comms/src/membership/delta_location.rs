//! The delta location: the bucket in which a peer publishes its deltas.

use std::sync::Arc;

use crate::bucket::BucketError;
use crate::bucket::location::Location;

/// The delta location in the payload of a join request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeltaLocation {
    /// The bucket of the run: the payload is empty.
    Shared,
    /// The peer's bucket: the payload is its URL.
    Own(Arc<str>),
}

impl DeltaLocation {
    /// The longest URL in bytes. The contract of a ledger has the same limit.
    pub(crate) const MAX_URL: usize = 512;

    /// Parses the payload of a join request, or returns `None` if it is neither empty nor a URL
    /// that a peer can announce.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        if payload.is_empty() {
            return Some(Self::Shared);
        }
        let url = str::from_utf8(payload).ok()?;
        Self::check_url(url).ok()?;
        Some(Self::Own(url.into()))
    }

    /// Checks that a URL names a bucket that other machines can reach, and contains no access keys.
    ///
    /// # Errors
    /// [`BucketError::InvalidUrl`] with the reason.
    pub(crate) fn check_url(url: &str) -> Result<(), BucketError> {
        // Parsing refuses a URL with access keys, since every reader sees a join request.
        let reason = match url.parse()? {
            Location::Memory => "other machines cannot read it",
            _ if url.len() > Self::MAX_URL => "it is longer than 512 bytes",
            _ => return Ok(()),
        };
        Err(BucketError::InvalidUrl { url: url.into(), reason: reason.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_request_is_empty_or_names_a_bucket_that_others_can_read() {
        assert_eq!(DeltaLocation::parse(b""), Some(DeltaLocation::Shared));
        let longest = format!("s3://{}", "a".repeat(DeltaLocation::MAX_URL - 5));
        for url in ["s3://bkt/mine?endpoint=https://host&region=eu", &longest] {
            assert_eq!(DeltaLocation::parse(url.as_bytes()), Some(DeltaLocation::Own(url.into())));
        }
        let too_long = format!("{longest}a");
        let refused: [&[u8]; 5] =
            [b"s3://bkt/\xff", too_long.as_bytes(), b"memory://", b"http://h", b"s3://me:key@bkt"];
        for payload in refused {
            assert_eq!(DeltaLocation::parse(payload), None, "{}", String::from_utf8_lossy(payload));
        }
    }
}
