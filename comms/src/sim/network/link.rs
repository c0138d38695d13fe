//! The network link of one actor: latency, and outages.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::outages::Outages;
use crate::bucket::{Bucket, BucketError, Listed, Put};
use crate::objects::{Key, Prefix};
use crate::primitives::{Clock, SeededRng, Timestamp};

/// The time until a request over a dead link fails.
// Below the retry's limit of 8 s per try, so the link fails the request and not the retry.
const HANG: Duration = Duration::from_secs(5);

/// A bucket behind a link with latency and outages.
///
/// Half of the latency passes before the request reaches the bucket, the other half before the
/// answer arrives. If the link fails in between, the answer is lost but the request was performed.
#[derive(Debug)]
pub(crate) struct BucketLink<B> {
    inner: B,
    clock: Arc<dyn Clock>,
    latency: (Duration, Duration),
    state: Mutex<LinkState>,
}

struct LinkState {
    rng: SeededRng,
    outages: Box<dyn Iterator<Item = (Timestamp, Timestamp)> + Send>,
    /// The current or the next outage.
    outage: Option<(Timestamp, Timestamp)>,
}

// By hand: the iterator of outages cannot be printed.
impl std::fmt::Debug for LinkState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LinkState").field("outage", &self.outage).finish_non_exhaustive()
    }
}

impl<B: Bucket> BucketLink<B> {
    pub(crate) fn new(
        inner: B,
        clock: Arc<dyn Clock>,
        latency: (Duration, Duration),
        partitions: Outages,
        mut rng: SeededRng,
    ) -> Self {
        // A separate stream, so the times of outages do not depend on the number of requests.
        let mut outages = Box::new(partitions.after(clock.now(), SeededRng::new(rng.bits())));
        let outage = outages.next();
        Self { inner, clock, latency, state: Mutex::new(LinkState { rng, outages, outage }) }
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_down(&self) -> bool {
        let now = self.clock.now();
        let mut state = self.state();
        while let Some((begin, end)) = state.outage {
            if now < end {
                return now >= begin;
            }
            state.outage = state.outages.next();
        }
        false
    }

    /// Passes one direction of a request.
    async fn travel(&self, key: &(dyn std::fmt::Display + Sync)) -> Result<(), BucketError> {
        let (shortest, longest) = self.latency;
        let fraction = self.state().rng.fraction();
        let half = (shortest + longest.saturating_sub(shortest).mul_f64(fraction)) / 2;
        // Without latency there is no reason to yield, and simulations of 1,000 peers are faster.
        if !half.is_zero() {
            self.clock.sleep_until(self.clock.now() + half).await;
        }
        if !self.is_down() {
            return Ok(());
        }
        self.clock.sleep_until(self.clock.now() + HANG).await;
        Err(BucketError::Unavailable { what: key.to_string(), source: "the link is down".into() })
    }
}

#[async_trait]
impl<B: Bucket> Bucket for BucketLink<B> {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        self.travel(key).await?;
        let outcome = self.inner.get(key, limit).await;
        self.travel(key).await?;
        outcome
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        self.travel(key).await?;
        let outcome = self.inner.put_new(key, body).await;
        self.travel(key).await?;
        outcome
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        self.travel(prefix).await?;
        let outcome = self.inner.list(prefix, after).await;
        self.travel(prefix).await?;
        outcome
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.travel(key).await?;
        let outcome = self.inner.delete(key).await;
        self.travel(key).await?;
        outcome
    }
}
