//! A bucket that tries again.

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

/// How patiently requests are repeated.
///
/// The pause before try `n + 1` is drawn evenly from zero to `first_pause` times two to the `n - 1`, at most
/// `longest_pause` ("full jitter": peers that failed together do not come back together).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest first pause.
    pub first_pause: Duration,
    /// The longest pause of all.
    pub longest_pause: Duration,
    /// How long one try may take.
    pub try_limit: Duration,
    /// How long one request may take with all its tries and pauses.
    pub deadline: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(10),
            try_limit: Duration::from_secs(120),
            deadline: Duration::from_secs(300),
        }
    }
}

impl RetryPolicy {
    /// The longest pause after a number of failed tries, at least one.
    fn longest_pause_after(&self, attempts: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        self.first_pause.saturating_mul(doubled).min(self.longest_pause)
    }
}

/// Repeats what failed for a reason that may pass, until a deadline.
///
/// Writing again is harmless: if an earlier try arrived after all, the later finds its own bytes and succeeds.
#[derive(Debug)]
pub struct Retry<B> {
    inner: B,
    clock: Arc<dyn Clock>,
    policy: RetryPolicy,
    jitter: Mutex<SeededRng>,
}

impl<B: Bucket> Retry<B> {
    /// Repeats requests to `inner`; peers should bring different seeds.
    pub fn new(inner: B, clock: Arc<dyn Clock>, policy: RetryPolicy, jitter_seed: u64) -> Self {
        Self { inner, clock, policy, jitter: Mutex::new(SeededRng::new(jitter_seed)) }
    }

    async fn persist<'a, T>(
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
            let resume = self.clock.now() + self.pause_after(attempts);
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

    /// One try, which ends with the deadline at the latest.
    async fn attempt<T>(
        &self,
        what: &(dyn Display + Sync),
        deadline: Timestamp,
        request: BoxFuture<'_, Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
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
        self.persist(key, move || Box::pin(async move { self.inner.get(&key, limit).await })).await
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        let key = *key;
        let attempt = move || -> BoxFuture<'_, _> {
            let body = body.clone();
            Box::pin(async move { self.inner.put_new(&key, body).await })
        };
        self.persist(key, attempt).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        let (prefix, after) = (*prefix, after.copied());
        let attempt = move || -> BoxFuture<'_, _> {
            Box::pin(async move { self.inner.list(&prefix, after.as_ref()).await })
        };
        self.persist(prefix, attempt).await
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        let key = *key;
        self.persist(key, move || Box::pin(async move { self.inner.delete(&key).await })).await
    }
}
