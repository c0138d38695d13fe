//! A bucket with faults from a seed, for tests and simulations.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::bucket::bucket::{Bucket, Listed, Put};
use crate::bucket::error::BucketError;
use crate::objects::{Key, Prefix};
use crate::primitives::{Clock, SeededRng};

/// The probabilities of faults, each from 0 (never) to 1 (always).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// Requests that fail with an error of the store and have no effect.
    pub errors: f64,
    /// Requests that take [`stall`](Self::stall) longer.
    pub stalls: f64,
    /// The length of a stall.
    pub stall: Duration,
    /// Writes and removals that take effect and are reported as failed.
    pub lost_acknowledgements: f64,
    /// Listings that return the result of the previous listing of the same prefix.
    pub stale_listings: f64,
    /// Reads that return the first part of a body as if it were the whole.
    pub truncated_bodies: f64,
}

impl FaultRates {
    /// A bad day of a store: 5 % errors, 2 % stalls of ten seconds, 2 % lost acknowledgements, 10 %
    /// stale listings, 1 % truncated bodies.
    pub const BAD_DAY: Self = Self {
        errors: 0.05,
        stalls: 0.02,
        stall: Duration::from_secs(10),
        lost_acknowledgements: 0.02,
        stale_listings: 0.1,
        truncated_bodies: 0.01,
    };
}

/// Injects faults into the requests to a bucket.
///
/// The faults of the n-th request of a kind to a key depend only on the seed, the kind, the key and
/// n. The order of requests to different keys has no influence, so concurrent tasks meet the same
/// faults in every run.
#[derive(Debug)]
pub struct Faulty<B> {
    inner: B,
    clock: Arc<dyn Clock>,
    rates: FaultRates,
    seed: u64,
    history: Mutex<FaultHistory>,
}

/// The number of requests by kind and key, and the last listing of each prefix.
#[derive(Debug, Default)]
struct FaultHistory {
    num_requests: BTreeMap<String, u64>,
    listings: BTreeMap<String, Vec<Listed>>,
}

impl<B: Bucket> Faulty<B> {
    /// Injects faults into the requests to `inner` at the given rates.
    pub fn new(inner: B, clock: Arc<dyn Clock>, rates: FaultRates, seed: u64) -> Self {
        Self { inner, clock, rates, seed, history: Mutex::default() }
    }

    /// The bucket without faults.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    /// Begins a request: draws its faults, stalls, and fails if an error is drawn.
    async fn begin(
        &self,
        verb: &str,
        what: &(dyn Display + Sync),
    ) -> Result<InjectedFault, BucketError> {
        // Long simulations without faults would otherwise count millions of keys.
        if self.is_harmless() {
            return Ok(InjectedFault::default());
        }
        let fault = self.draw(verb, what);
        if fault.stalls {
            self.clock.sleep_until(self.clock.now() + self.rates.stall).await;
        }
        if fault.fails { Err(unavailable(what, "injected error")) } else { Ok(fault) }
    }

    /// Returns true if no fault can occur.
    fn is_harmless(&self) -> bool {
        self.rates == FaultRates { stall: self.rates.stall, ..FaultRates::default() }
    }

    fn draw(&self, verb: &str, what: &dyn Display) -> InjectedFault {
        let name = format!("{verb} {what}");
        let count = {
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            let count = history.num_requests.entry(name.clone()).or_default();
            *count += 1;
            *count
        };
        let mut rng = SeededRng::named(self.seed, &name, count);
        // One draw for each kind of fault, always in this order: a change of one rate then leaves
        // the other faults where they are.
        InjectedFault {
            stalls: rng.fraction() < self.rates.stalls,
            fails: rng.fraction() < self.rates.errors,
            loses_acknowledgement: rng.fraction() < self.rates.lost_acknowledgements,
            is_stale: rng.fraction() < self.rates.stale_listings,
            truncates: rng.fraction() < self.rates.truncated_bodies,
            cut: rng.fraction(),
        }
    }

    /// Stores a listing and returns the previous one, empty for the first.
    fn remember(&self, prefix: &Prefix, listing: Vec<Listed>) -> Vec<Listed> {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.listings.insert(prefix.to_string(), listing).unwrap_or_default()
    }
}

/// The faults of one request.
#[derive(Default)]
struct InjectedFault {
    stalls: bool,
    fails: bool,
    loses_acknowledgement: bool,
    is_stale: bool,
    truncates: bool,
    /// The fraction of the body that a truncated read returns.
    cut: f64,
}

impl InjectedFault {
    fn acknowledge<T>(&self, what: &dyn Display, outcome: T) -> Result<T, BucketError> {
        if self.loses_acknowledgement {
            Err(unavailable(what, "injected loss of the acknowledgement"))
        } else {
            Ok(outcome)
        }
    }
}

fn unavailable(what: &dyn Display, reason: &'static str) -> BucketError {
    BucketError::Unavailable { what: what.to_string(), source: reason.into() }
}

#[async_trait]
impl<B: Bucket> Bucket for Faulty<B> {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        let fault = self.begin("get", key).await?;
        let body = self.inner.get(key, limit).await?;
        if fault.truncates {
            // The fraction is below 1, so the cut is within the body.
            Ok(body.slice(..(body.len() as f64 * fault.cut) as usize))
        } else {
            Ok(body)
        }
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        let fault = self.begin("put", key).await?;
        let outcome = self.inner.put_new(key, body).await?;
        fault.acknowledge(key, outcome)
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        let fault = self.begin("list", prefix).await?;
        if self.is_harmless() {
            return self.inner.list(prefix, after).await;
        }
        // Without `after`, because later listings with another `after` may return this one.
        let fresh = self.inner.list(prefix, None).await?;
        let previous = self.remember(prefix, fresh.clone());
        let mut listing = if fault.is_stale { previous } else { fresh };
        listing.retain(|listed| after.is_none_or(|after| listed.key > *after));
        Ok(listing)
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        let fault = self.begin("delete", key).await?;
        self.inner.delete(key).await?;
        fault.acknowledge(key, ())
    }
}
