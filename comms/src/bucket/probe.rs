//! A test of a store: does it honour that a key is written once?

use bytes::Bytes;

use super::bucket::{Bucket, Put};
use super::error::BucketError;
use crate::objects::{Key, Prefix};
use crate::primitives::{Digest, Timestamp};

/// The reaction of a store to a second write to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It rejects the write, as it must.
    Honoured,
    /// It overwrites and reports success. Several S3 implementations do.
    Overwrites,
    /// This reader may not write.
    ReadOnly,
}

impl Creation {
    /// The consequence for users of the store.
    pub fn consequence(self) -> &'static str {
        match self {
            Self::Honoured => "keys are written once; peers can share this bucket",
            Self::Overwrites => {
                "the store overwrites objects that must be written once: any writer can change the \
                 past; give every peer a bucket or a prefix that only it can write, and run one \
                 validator"
            }
            Self::ReadOnly => {
                "the bucket can be watched, but not taken part in: a key that may write is needed"
            }
        }
    }
}

/// The result of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The reaction to a second write.
    pub creation: Creation,
    /// The time of the store's clock, if this reader may write.
    pub store_time: Option<Timestamp>,
}

/// Writes one object twice with different content, reads it back with its time, and removes it.
///
/// `nonce` names the object: a digest that was never used in this bucket. The bucket must not be
/// one that checks for the key before it writes. A store that passes may still fail if two writers
/// create a key at the same instant.
///
/// # Errors
/// Errors of the store, except that writing is not allowed.
pub async fn probe(bucket: &dyn Bucket, nonce: Digest) -> Result<Probe, BucketError> {
    let key = Key::Probe(nonce);
    let bodies = [&b"first"[..], b"other"].map(Bytes::from_static);
    let probe = write_twice(bucket, &key, &bodies).await;
    // Some keys may write and not delete; an object that remains does no harm.
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
    // The stored content decides, not the reported result.
    let stored = bucket.get(key, 64).await?;
    let creation = match second {
        Put::Occupied if stored == first => Creation::Honoured,
        _ => Creation::Overwrites,
    };
    let listing = bucket.list(&Prefix::Probes, None).await?;
    let store_time = listing.iter().find(|listed| listed.key == *key).map(|listed| listed.modified);
    Ok(Probe { creation, store_time })
}
