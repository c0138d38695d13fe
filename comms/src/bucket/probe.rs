//! What a store really does when it is asked to write a key once.

use bytes::Bytes;

use super::bucket::{Bucket, Put};
use super::error::BucketError;
use crate::objects::{Key, Prefix};
use crate::primitives::{Digest, Timestamp};

/// What a store makes of a second write to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It refuses, as it should.
    Honoured,
    /// It overwrites and reports success; several S3 look-alikes do.
    Overwrites,
    /// We may not write at all.
    ReadOnly,
}

impl Creation {
    /// What follows for whoever uses the store.
    pub fn consequence(self) -> &'static str {
        match self {
            Self::Honoured => "keys are written once; peers can share this bucket",
            Self::Overwrites => {
                "the store overwrites objects that should be written once: whoever may write can change the past and \
                 two coordinators can undo each other; give every peer a bucket or a prefix that only it can write, \
                 and run one coordinator"
            }
            Self::ReadOnly => {
                "the bucket can be watched, but not taken part in: a key that may write is needed"
            }
        }
    }
}

/// What a store turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What it makes of a second write.
    pub creation: Creation,
    /// What its clock showed a moment ago, if we may write.
    pub store_time: Option<Timestamp>,
}

/// Writes one object twice, with different content, and looks what is left and when it was written; then removes it.
///
/// `nonce` names the object: a digest that was never used here before. To be asked of a bucket that does not look first
/// by itself. A store that honours creation one after the other may still fail at the same instant.
///
/// # Errors
/// What the store says, other than that it may not be written.
pub async fn probe(bucket: &dyn Bucket, nonce: Digest) -> Result<Probe, BucketError> {
    let key = Key::Probe(nonce);
    let bodies = [&b"first"[..], b"other"].map(Bytes::from_static);
    let probe = write_twice(bucket, &key, &bodies).await;
    // Tidiness only: some keys may write and not delete.
    let _ = bucket.delete(&key).await;
    probe
}

async fn write_twice(
    bucket: &dyn Bucket,
    key: &Key,
    [first, other]: &[Bytes; 2],
) -> Result<Probe, BucketError> {
    match bucket.put_new(key, first.clone()).await {
        Err(BucketError::Denied { .. }) => {
            return Ok(Probe { creation: Creation::ReadOnly, store_time: None });
        }
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let second = bucket.put_new(key, other.clone()).await?;
    // What lies there counts, whatever was reported.
    let stored = bucket.get(key, 64).await?;
    let creation = match second {
        Put::Occupied if stored == first => Creation::Honoured,
        _ => Creation::Overwrites,
    };
    let listing = bucket.list(&Prefix::Probes, None).await?;
    let store_time = listing.iter().find(|listed| listed.key == *key).map(|listed| listed.modified);
    Ok(Probe { creation, store_time })
}
