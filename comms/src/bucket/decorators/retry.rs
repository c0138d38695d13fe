//! A bucket that repeats failed requests.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::bucket::bucket::{Bucket, Listed, Put};
use crate::bucket::error::BucketError;
use crate::objects::{Key, Prefix};
use crate::primitives::{Clock, SeededRng, Timestamp, within};

/// The pauses and time limits of repeated requests.
///
/// The pause after attempt `n` is uniform between zero and `first_pause * 2^(n - 1)`, at most
/// `longest_pause`. This is "full jitter" (Brooker, Exponential Backoff And Jitter, AWS
/// Architecture Blog, 2015): requests that failed together are not repeated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The upper bound of the first pause.
    pub first_pause: Duration,
    /// The upper bound of every pause.
    pub longest_pause: Duration,
    /// The time limit of one attempt.
    pub try_limit: Duration,
    /// The time limit of a request with all its attempts and pauses.
    pub deadline: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        // Two minutes carry 100 MB at 7 Mbit/s. Five minutes outlast the restart of a store.
        Self {
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(10),
            try_limit: Duration::from_secs(120),
            deadline: Duration::from_secs(300),
        }
    }
}

impl RetryPolicy {
    /// The upper bound of the pause after `attempts` failed attempts, at least one.
    fn longest_pause_after(&self, attempts: u32) -> Duration {
        // Saturates, because a deadline of days allows more than 32 attempts.
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        self.first_pause.saturating_mul(doubled).min(self.longest_pause)
    }
}

/// Repeats requests with [transient](BucketError::is_transient) errors until a deadline.
///
/// To repeat a write does no harm: if an earlier attempt arrived, the later one finds its own bytes
/// and returns [`Put::Unchanged`].
#[derive(Debug)]
pub struct Retry<B> {
    inner: B,
    clock: Arc<dyn Clock>,
    policy: RetryPolicy,
    jitter: Mutex<SeededRng>,
}

impl<B: Bucket> Retry<B> {
    /// Repeats requests to `inner`, with pauses drawn from `jitter_seed`.
    ///
    /// Pass random bits of the system. A constant, or a value that other machines share such as a
    /// digest of the run, gives all of them the same pauses: they hit a store that recovers in the
    /// same instant, again and again.
    pub fn new(inner: B, clock: Arc<dyn Clock>, policy: RetryPolicy, jitter_seed: u64) -> Self {
        Self { inner, clock, policy, jitter: Mutex::new(SeededRng::new(jitter_seed)) }
    }

    async fn repeat<'a, T>(
        &'a self,
        what: impl Display + Send + Sync,
        attempt: impl Fn() -> BoxFuture<'a, Result<T, BucketError>> + Send,
    ) -> Result<T, BucketError>
    where
        T: Send,
    {
        let start = self.clock.now();
        let deadline = start + self.policy.deadline;
        let mut attempts = 0;
        loop {
            let error = match self.attempt(&what, deadline, attempt()).await {
                Err(error) if error.is_transient() => error,
                outcome => return outcome,
            };
            attempts += 1;
            tracing::warn!(key = %what, attempts, %error, "repeating a request");
            let resume = self.clock.now() + self.pause_after(attempts);
            // Fails now instead of a sleep to the deadline: no attempt would follow it.
            if resume >= deadline {
                let elapsed = self.clock.now().since(start);
                return Err(BucketError::GaveUp {
                    what: what.to_string(),
                    attempts,
                    elapsed,
                    source: error.into(),
                });
            }
            self.clock.sleep_until(resume).await;
        }
    }

    /// Makes one attempt, cut off at the deadline.
    async fn attempt<T>(
        &self,
        what: &(dyn Display + Sync),
        deadline: Timestamp,
        request: BoxFuture<'_, Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        // A stalled attempt would otherwise use up the whole deadline without a second attempt.
        let limit = self.policy.try_limit.min(deadline.since(self.clock.now()));
        within(self.clock.as_ref(), limit, request)
            .await
            .unwrap_or_else(|| Err(BucketError::TimedOut { what: what.to_string(), limit }))
    }

    fn pause_after(&self, attempts: u32) -> Duration {
        let fraction = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).fraction();
        self.policy.longest_pause_after(attempts).mul_f64(fraction)
    }
}

#[async_trait]
impl<B: Bucket> Bucket for Retry<B> {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        let key = *key;
        self.repeat(key, move || Box::pin(async move { self.inner.get(&key, limit).await })).await
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        let key = *key;
        self.repeat(key, move || {
            // Shares the bytes.
            let body = body.clone();
            Box::pin(async move { self.inner.put_new(&key, body).await })
        })
        .await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        let (prefix, after) = (*prefix, after.copied());
        self.repeat(prefix, move || {
            Box::pin(async move { self.inner.list(&prefix, after.as_ref()).await })
        })
        .await
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        let key = *key;
        self.repeat(key, move || Box::pin(async move { self.inner.delete(&key).await })).await
    }
}
