//! A bucket with a limit on the bytes that are transferred per second.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::bucket::bucket::{Bucket, Listed, Put};
use crate::bucket::error::BucketError;
use crate::objects::{Key, Prefix};
use crate::primitives::{Clock, Timestamp};

/// The highest average rate in bytes per second; `None` means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// The rate of writes.
    pub up: Option<NonZeroU64>,
    /// The rate of reads.
    pub down: Option<NonZeroU64>,
}

/// The state of a rate limit. Clones share it, so the buckets with one limiter stay below one
/// limit.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    up: Arc<Direction>,
    down: Arc<Direction>,
}

impl RateLimiter {
    /// Creates a limiter without any transfers.
    pub fn new(limit: RateLimit) -> Self {
        Self { up: Arc::new(Direction::new(limit.up)), down: Arc::new(Direction::new(limit.down)) }
    }
}

/// Limits the average rate of the bodies to and from a bucket, each direction separately.
///
/// An object is transferred at full speed; then the request waits until its bytes fit the rate.
/// Concurrent requests queue. Headers and listings do not count.
#[derive(Debug)]
pub struct RateLimited<B> {
    inner: B,
    clock: Arc<dyn Clock>,
    limiter: RateLimiter,
}

impl<B: Bucket> RateLimited<B> {
    /// Limits the transfers of `inner`.
    pub fn new(inner: B, clock: Arc<dyn Clock>, limit: RateLimit) -> Self {
        Self::on(inner, clock, RateLimiter::new(limit))
    }

    /// Limits the transfers of `inner` and of all other buckets with `limiter` together.
    pub fn on(inner: B, clock: Arc<dyn Clock>, limiter: RateLimiter) -> Self {
        Self { inner, clock, limiter }
    }

    /// Waits until the rate allows `bytes` more.
    async fn wait(&self, direction: &Direction, bytes: u64) {
        let end = direction.reserve(self.clock.now(), bytes);
        self.clock.sleep_until(end).await;
    }
}

/// Writes or reads: the rate, and the time until which it is used up.
#[derive(Debug)]
struct Direction {
    bytes_per_second: Option<NonZeroU64>,
    free_at: Mutex<Timestamp>,
}

impl Direction {
    fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { bytes_per_second, free_at: Mutex::default() }
    }

    /// Reserves the next free interval in which the rate allows `bytes`, and returns its end.
    fn reserve(&self, now: Timestamp, bytes: u64) -> Timestamp {
        let Some(rate) = self.bytes_per_second else { return now };
        // In 128 bits: the product overflows 64 bits from 18 TB on.
        let micros = u128::from(bytes) * 1_000_000 / u128::from(rate.get());
        let interval = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        // An idle limiter saves up no time, so a burst after a pause stays below the rate as well.
        *free_at = now.max(*free_at) + interval;
        *free_at
    }
}

#[async_trait]
impl<B: Bucket> Bucket for RateLimited<B> {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        let body = self.inner.get(key, limit).await?;
        // After the transfer, because a reader does not know the length before.
        self.wait(&self.limiter.down, body.len() as u64).await;
        Ok(body)
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        let length = body.len() as u64;
        let outcome = self.inner.put_new(key, body).await;
        // Counts failed writes: they may have sent the whole body.
        self.wait(&self.limiter.up, length).await;
        outcome
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.inner.delete(key).await
    }
}
