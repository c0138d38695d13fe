//! A bucket that leaves some of the line to others.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::bucket::bucket::{Bucket, Listed, Put};
use crate::bucket::error::BucketError;
use crate::objects::{Key, Prefix};
use crate::primitives::{Clock, Timestamp};

/// The most that may be transferred, in bytes per second; nothing means as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// To the bucket.
    pub up: Option<NonZeroU64>,
    /// From the bucket.
    pub down: Option<NonZeroU64>,
}

/// The line to one bucket or to several: clones of it queue behind each other.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    up: Arc<Lane>,
    down: Arc<Lane>,
}

impl RateLimiter {
    /// A line with nothing on it.
    pub fn new(cap: RateLimit) -> Self {
        Self { up: Arc::new(Lane::new(cap.up)), down: Arc::new(Lane::new(cap.down)) }
    }
}

/// Keeps the average of all bodies, up and down each, below a cap.
///
/// An object travels at the speed of the line; then the line rests as long as the object is worth. Objects that come in
/// together queue. Headers and listings are not counted.
#[derive(Debug)]
pub struct RateLimited<B> {
    inner: B,
    clock: Arc<dyn Clock>,
    line: RateLimiter,
}

impl<B: Bucket> RateLimited<B> {
    /// Caps transfers with `inner`.
    pub fn new(inner: B, clock: Arc<dyn Clock>, cap: RateLimit) -> Self {
        Self::on(inner, clock, RateLimiter::new(cap))
    }

    /// Caps transfers with `inner` and with all other buckets on the same line together.
    pub fn on(inner: B, clock: Arc<dyn Clock>, line: RateLimiter) -> Self {
        Self { inner, clock, line }
    }

    /// Waits until `bytes` more have been paid for with time.
    async fn pay(&self, lane: &Lane, bytes: u64) {
        let paid = lane.reserve(self.clock.now(), bytes);
        self.clock.sleep_until(paid).await;
    }
}

/// One direction.
#[derive(Debug)]
struct Lane {
    bytes_per_second: Option<NonZeroU64>,
    free_at: Mutex<Timestamp>,
}

impl Lane {
    fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { bytes_per_second, free_at: Mutex::default() }
    }

    /// Takes the next free time that `bytes` need; they may have passed at its end.
    fn reserve(&self, now: Timestamp, bytes: u64) -> Timestamp {
        let Some(rate) = self.bytes_per_second else { return now };
        let micros = u128::from(bytes) * 1_000_000 / u128::from(rate.get());
        let worth = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        *free_at = now.max(*free_at) + worth;
        *free_at
    }
}

#[async_trait]
impl<B: Bucket> Bucket for RateLimited<B> {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        let body = self.inner.get(key, limit).await?;
        self.pay(&self.line.down, body.len() as u64).await;
        Ok(body)
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        let length = body.len() as u64;
        let outcome = self.inner.put_new(key, body).await;
        // A failed try may have sent everything.
        self.pay(&self.line.up, length).await;
        outcome
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.inner.delete(key).await
    }
}
