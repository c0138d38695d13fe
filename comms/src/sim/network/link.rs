//! The way from one actor to the bucket: slow, and sometimes cut.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::outages::Outages;
use crate::bucket::{Bucket, BucketError, Listed, Put};
use crate::objects::{Key, Prefix};
use crate::primitives::{Clock, SeededRng, Timestamp};

/// How long a request hangs that goes nowhere.
const HANG: Duration = Duration::from_secs(5);

/// A bucket that takes its time, and is out of reach now and then.
///
/// Half of a request's time passes before it reaches the bucket, half before its answer is here; a line that is cut in
/// between loses the answer, not the request.
#[derive(Debug)]
pub(crate) struct Link<B> {
    inner: B,
    clock: Arc<dyn Clock>,
    latency: (Duration, Duration),
    state: Mutex<LinkState>,
}

struct LinkState {
    dice: SeededRng,
    cuts: Box<dyn Iterator<Item = (Timestamp, Timestamp)> + Send>,
    /// The cut that is going on or comes next.
    cut: Option<(Timestamp, Timestamp)>,
}

impl std::fmt::Debug for LinkState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("State").field("cut", &self.cut).finish_non_exhaustive()
    }
}

impl<B: Bucket> Link<B> {
    pub(crate) fn new(
        inner: B,
        clock: Arc<dyn Clock>,
        latency: (Duration, Duration),
        partitions: Outages,
        mut dice: SeededRng,
    ) -> Self {
        let mut cuts = Box::new(partitions.after(clock.now(), SeededRng::new(dice.bits())));
        let cut = cuts.next();
        Self { inner, clock, latency, state: Mutex::new(LinkState { dice, cuts, cut }) }
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_cut(&self) -> bool {
        let now = self.clock.now();
        let mut state = self.state();
        while let Some((begin, end)) = state.cut {
            if now < end {
                return now >= begin;
            }
            state.cut = state.cuts.next();
        }
        false
    }

    /// Half of a request's way.
    async fn travel(&self, key: &(dyn std::fmt::Display + Sync)) -> Result<(), BucketError> {
        let (shortest, longest) = self.latency;
        let fraction = self.state().dice.fraction();
        let half = (shortest + longest.saturating_sub(shortest).mul_f64(fraction)) / 2;
        if !half.is_zero() {
            self.clock.sleep_until(self.clock.now() + half).await;
        }
        if !self.is_cut() {
            return Ok(());
        }
        self.clock.sleep_until(self.clock.now() + HANG).await;
        Err(BucketError::Unavailable { what: key.to_string(), source: "the line is cut".into() })
    }
}

#[async_trait]
impl<B: Bucket> Bucket for Link<B> {
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
