//! Removal of obsolete objects from a bucket.
//!
//! Kept for the whole run: the description and its parts, all join requests, and all objects of
//! rounds except deltas, so every verdict can be verified.

use std::collections::BTreeMap;

use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::bucket::{BucketError, Listed};
use crate::objects::{Key, Prefix};
use crate::primitives::{PeerId, Round};
use crate::run::{CONCURRENCY, CommsError, Run};

/// Additional rounds beyond `patience` for which heartbeats are kept, for validators that are
/// behind.
const GRACE: u32 = 2;

/// Removes what no reader needs any more: checkpoints beyond those that are kept, deltas of rounds
/// before the oldest kept checkpoint, and heartbeats and leave notices of long past rounds.
///
/// `next` is the open round. The newest heartbeat and the newest leave notice of each peer stay
/// at any age: they show that its join request was answered. Buckets that peers own are left
/// alone. If a call is interrupted, the next one continues.
///
/// # Errors
/// Errors of the bucket.
pub(crate) async fn remove_obsolete(run: &Run, next: Round) -> Result<(), CommsError> {
    let rules = &run.description().rules;
    let checkpoints = run.checkpoints().await?;
    if let Some(place) = checkpoints.len().checked_sub(rules.keep_checkpoints as usize)
        && let Some(oldest) = checkpoints.get(place)
    {
        remove_checkpoints(run, *oldest).await?;
        remove_deltas(run, *oldest).await?;
    }
    let first = next.0.saturating_sub(rules.patience.saturating_add(GRACE));
    remove_heartbeats(run, Round(first)).await
}

/// Removes the checkpoints of rounds before `oldest`. Descriptions go first, so a checkpoint with a
/// description is always complete.
async fn remove_checkpoints(run: &Run, oldest: Round) -> Result<(), CommsError> {
    let listing = run.bucket().list(&Prefix::Checkpoints, None).await?;
    remove(
        run,
        keys(&listing).filter(
            |key: &Key| matches!(key, Key::CheckpointDescription(round) if *round < oldest),
        ),
    )
    .await?;
    remove(
        run,
        keys(&listing)
            .filter(|key: &Key| matches!(key, Key::CheckpointPart(round, _) if *round < oldest)),
    )
    .await
}

async fn remove_deltas(run: &Run, oldest: Round) -> Result<(), CommsError> {
    let listing = run.bucket().list(&Prefix::Rounds, None).await?;
    remove(
        run,
        keys(&listing).filter(|key: &Key| matches!(key, Key::Delta(round, _) if *round < oldest)),
    )
    .await
}

/// Removes heartbeats and leave notices of rounds before `first`, except the newest of each peer.
async fn remove_heartbeats(run: &Run, first: Round) -> Result<(), CommsError> {
    let listing = run.bucket().list(&Prefix::Peers, None).await?;
    let mut newest: BTreeMap<(PeerId, bool), Key> = BTreeMap::new();
    let mut old = Vec::new();
    // Listings ascend, so each object of a peer is newer than the one before.
    for key in keys(&listing) {
        let (peer, round, is_heartbeat) = match key {
            Key::Heartbeat(peer, round) => (peer, round, true),
            Key::LeaveNotice(peer, round) => (peer, round, false),
            _ => continue,
        };
        if round < first {
            old.extend(newest.insert((peer, is_heartbeat), key));
        } else {
            old.extend(newest.remove(&(peer, is_heartbeat)));
        }
    }
    remove(run, old.into_iter()).await
}

fn keys(listing: &[Listed]) -> impl Iterator<Item = Key> {
    listing.iter().map(|listed| listed.key)
}

async fn remove(run: &Run, keys: impl Iterator<Item = Key>) -> Result<(), CommsError> {
    let bucket = run.bucket();
    let removals: Vec<_> = keys.map(|key| async move { bucket.delete(&key).await }).collect();
    tracing::debug!(objects = removals.len(), "removing obsolete objects");
    match iter(removals).buffer_unordered(CONCURRENCY).try_collect().await {
        // A validator may lack the right to remove objects of others.
        Err(BucketError::Denied { .. }) => Ok(()),
        outcome => Ok(outcome?),
    }
}
