//! Where a peer keeps its deltas, as its join request says.

use std::sync::Arc;

use crate::bucket::BucketError;
use crate::bucket::location::Location;

/// What a hello says of where its peer keeps its deltas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeltaLocation {
    /// In the run's bucket: the payload is empty.
    Shared,
    /// In its own: the payload is the bucket's URL.
    Own(Arc<str>),
}

impl DeltaLocation {
    /// The longest URL in bytes.
    pub(crate) const MAX_URL: usize = 512;

    /// Reads the payload of a hello; nothing if it is neither empty nor a URL that peers may announce.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        if payload.is_empty() {
            return Some(Self::Shared);
        }
        let url = str::from_utf8(payload).ok()?;
        Self::check_url(url).ok()?;
        Some(Self::Own(url.into()))
    }

    /// Refuses what is no bucket, what holds keys, and what others cannot reach.
    pub(crate) fn check_url(url: &str) -> Result<(), BucketError> {
        let reason = match url.parse()? {
            Location::Memory => "no other process reaches it",
            _ if url.len() > Self::MAX_URL => "it has more than 512 bytes",
            _ => return Ok(()),
        };
        Err(BucketError::InvalidUrl { url: url.into(), reason: reason.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_empty_or_names_a_bucket_that_others_may_reach() {
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
