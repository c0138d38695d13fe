//! The laws of a bucket as a test. It is public, so every new store can run it.

use bytes::Bytes;
use futures_util::future::join_all;

use super::bucket::{Bucket, Put};
use super::error::BucketError;
use crate::objects::{Key, Prefix};
use crate::primitives::{Digest, PeerId, Round};

/// A law that a bucket broke.
#[derive(Debug, thiserror::Error)]
#[error("{law}: {detail}")]
pub struct Violation {
    /// The law.
    pub law: &'static str,
    /// The observation that contradicts it.
    pub detail: String,
}

type BucketCheck = Result<(), Violation>;

/// Checks an empty bucket against the laws of [`Bucket`] and leaves it empty.
///
/// # Errors
/// The first broken law. An error of the store counts as one: wrap the bucket in a
/// [`Retry`](crate::bucket::decorators::Retry) if requests may fail.
pub async fn check_conformance(bucket: &dyn Bucket) -> BucketCheck {
    reads_return_what_was_written(bucket).await?;
    keys_are_written_once(bucket).await?;
    one_of_many_writers_wins(bucket).await?;
    limits_are_respected(bucket).await?;
    listings_are_complete_and_in_order(bucket).await?;
    removal_can_be_repeated(bucket).await
}

async fn reads_return_what_was_written(bucket: &dyn Bucket) -> BucketCheck {
    let law = "reads return what was written";
    let key = Key::Manifest(Round(1));
    match bucket.get(&key, 100).await {
        Err(BucketError::NotFound { .. }) => {}
        other => return broken(law, format!("reading a free key gave {other:?}")),
    }
    // Empty, minimal, and longer than the pieces in which file systems and connections deliver.
    for (round, length) in [(1, 0), (2, 1), (3, 70_000)] {
        let key = Key::Manifest(Round(round));
        let body: Bytes = (0..length).map(|index| (index % 251) as u8).collect();
        expect_stored(law, bucket.put_new(&key, body.clone()).await)?;
        expect(law, bucket.get(&key, 70_000).await, body)?;
        expect(law, bucket.delete(&key).await, ())?;
    }
    Ok(())
}

async fn keys_are_written_once(bucket: &dyn Bucket) -> BucketCheck {
    let law = "keys are written once";
    let key = Key::RunDescription;
    expect_stored(law, bucket.put_new(&key, body(b"one")).await)?;
    expect(law, bucket.put_new(&key, body(b"one")).await, Put::Unchanged)?;
    // Another content of the same length, longer, a prefix, and empty: a store that compares
    // lengths only would accept the first as unchanged.
    for other in [&b"two"[..], b"three", b"on", b""] {
        expect(law, bucket.put_new(&key, body(other)).await, Put::Occupied)?;
    }
    expect(law, bucket.get(&key, 10).await, body(b"one"))?;
    expect(law, bucket.delete(&key).await, ())
}

async fn one_of_many_writers_wins(bucket: &dyn Bucket) -> BucketCheck {
    let law = "one of many writers wins";
    let key = Key::Manifest(Round(7));
    let bodies: Vec<Bytes> = (0..16_u8).map(|writer| Bytes::from(vec![writer; 100])).collect();
    let outcomes = join_all(bodies.iter().map(|body| bucket.put_new(&key, body.clone()))).await;
    let stored = bucket.get(&key, 100).await;
    let winners: Vec<_> = std::iter::zip(&bodies, &outcomes)
        .filter(|(_, outcome)| matches!(outcome, Ok(put) if put.is_stored()))
        .map(|(body, _)| body)
        .collect();
    match (winners.as_slice(), &stored) {
        ([winner], Ok(stored)) if stored == *winner => {}
        _ => return broken(law, format!("{} writers report success", winners.len())),
    }
    expect(law, bucket.delete(&key).await, ())
}

async fn limits_are_respected(bucket: &dyn Bucket) -> BucketCheck {
    let law = "limits are respected";
    let key = Key::RunPart(Digest::of(b"part"));
    expect_stored(law, bucket.put_new(&key, body(b"12345")).await)?;
    expect(law, bucket.get(&key, 5).await, body(b"12345"))?;
    match bucket.get(&key, 4).await {
        Err(BucketError::TooLarge { announced: 5, limit: 4, .. }) => {}
        other => return broken(law, format!("reading 5 bytes with a limit of 4 gave {other:?}")),
    }
    expect(law, bucket.delete(&key).await, ())
}

async fn listings_are_complete_and_in_order(bucket: &dyn Bucket) -> BucketCheck {
    let law = "listings are complete and in order";
    let here: Vec<_> =
        (1..=9).map(|peer| Key::Delta(Round(1), PeerId::from_bytes([peer; 32]))).collect();
    // Keys that begin like the prefix and are outside of it.
    let elsewhere = [Key::Manifest(Round(1)), Key::Delta(Round(10), PeerId::from_bytes([1; 32]))];
    for key in here.iter().rev().chain(&elsewhere) {
        expect_stored(law, bucket.put_new(key, body(b"xyz")).await)?;
    }
    expect(law, keys(bucket, Prefix::Deltas(Round(1)), None).await, here.clone())?;
    expect(law, keys(bucket, Prefix::Deltas(Round(1)), here.get(5)).await, here[6..].to_vec())?;
    expect(law, keys(bucket, Prefix::Deltas(Round(1)), here.last()).await, Vec::new())?;
    expect(law, keys(bucket, Prefix::Deltas(Round(2)), None).await, Vec::new())?;
    let mut all = [&here[..], &elsewhere].concat();
    all.sort();
    expect(law, keys(bucket, Prefix::Rounds, None).await, all.clone())?;
    for key in &all {
        expect(law, bucket.delete(key).await, ())?;
    }
    expect(law, keys(bucket, Prefix::Rounds, None).await, Vec::new())
}

async fn removal_can_be_repeated(bucket: &dyn Bucket) -> BucketCheck {
    let law = "removal can be repeated";
    let key = Key::JoinRequest(PeerId::from_bytes([1; 32]));
    expect_stored(law, bucket.put_new(&key, body(b"one")).await)?;
    expect(law, bucket.delete(&key).await, ())?;
    expect(law, bucket.delete(&key).await, ())?;
    expect_stored(law, bucket.put_new(&key, body(b"two")).await)?;
    expect(law, bucket.delete(&key).await, ())
}

/// Lists the keys of objects of the right length, so a wrong length shows as a missing key.
async fn keys(
    bucket: &dyn Bucket,
    prefix: Prefix,
    after: Option<&Key>,
) -> Result<Vec<Key>, BucketError> {
    let listing = bucket.list(&prefix, after).await?;
    Ok(listing.into_iter().filter(|listed| listed.length == 3).map(|listed| listed.key).collect())
}

fn body(text: &'static [u8]) -> Bytes {
    Bytes::from_static(text)
}

fn expect<T: PartialEq + std::fmt::Debug>(
    law: &'static str,
    got: Result<T, BucketError>,
    expected: T,
) -> BucketCheck {
    match got {
        Ok(got) if got == expected => Ok(()),
        got => broken(law, format!("expected {expected:?}, got {got:?}")),
    }
}

/// Accepts [`Put::Unchanged`] as well, the outcome of a second attempt after a lost
/// acknowledgement.
fn expect_stored(law: &'static str, got: Result<Put, BucketError>) -> BucketCheck {
    match got {
        Ok(put) if put.is_stored() => Ok(()),
        got => broken(law, format!("writing to a free key gave {got:?}")),
    }
}

fn broken(law: &'static str, detail: String) -> BucketCheck {
    // Bodies of 70,000 bytes would fill the terminal.
    Err(Violation { law, detail: detail.chars().take(400).collect() })
}
