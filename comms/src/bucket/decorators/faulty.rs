//! A bucket as bad as real ones are on a bad day, the same bad day for the same seed.

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

/// How often requests go wrong, each from 0 (never) to 1 (always).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// Requests that the store refuses with an error of its own; nothing happens.
    pub errors: f64,
    /// Requests that take [`stall`](Self::stall) longer.
    pub stalls: f64,
    /// How long a stall lasts.
    pub stall: Duration,
    /// Writes and removals that happen and are reported as failed.
    pub lost_acknowledgements: f64,
    /// Listings that show what the previous one of the same part showed.
    pub stale_listings: f64,
    /// Reads that bring the first part of a body as if it were all.
    pub truncated_bodies: f64,
}

impl FaultRates {
    /// A bad day: 5 % errors, 2 % stalls of ten seconds, 2 % lost acknowledgements, 10 % stale listings, 1 % truncated
    /// bodies.
    pub const BAD_DAY: Self = Self {
        errors: 0.05,
        stalls: 0.02,
        stall: Duration::from_secs(10),
        lost_acknowledgements: 0.02,
        stale_listings: 0.1,
        truncated_bodies: 0.01,
    };
}

/// Spoils requests to a bucket.
///
/// What befalls the n-th request of a kind to a key depends on the seed, the kind, the key and n alone, so the same
/// requests meet the same faults in whatever order different keys are asked for.
#[derive(Debug)]
pub struct Faulty<B> {
    inner: B,
    clock: Arc<dyn Clock>,
    rates: FaultRates,
    seed: u64,
    memory: Mutex<FaultHistory>,
}

/// What the layer knows of the past.
#[derive(Debug, Default)]
struct FaultHistory {
    num_requests: BTreeMap<String, u64>,
    listings: BTreeMap<String, Vec<Listed>>,
}

impl<B: Bucket> Faulty<B> {
    /// Spoils requests to `inner` at some rates.
    pub fn new(inner: B, clock: Arc<dyn Clock>, rates: FaultRates, seed: u64) -> Self {
        Self { inner, clock, rates, seed, memory: Mutex::default() }
    }

    /// The bucket behind the faults.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    /// Begins a request: stalls and fails as its fate wants it.
    async fn begin(
        &self,
        verb: &str,
        what: &(dyn Display + Sync),
    ) -> Result<InjectedFault, BucketError> {
        if self.is_harmless() {
            return Ok(InjectedFault::default());
        }
        let fate = self.fate(verb, what);
        if fate.stalls {
            self.clock.sleep_until(self.clock.now() + self.rates.stall).await;
        }
        match fate.fails {
            true => Err(spoilt(what, "injected error")),
            false => Ok(fate),
        }
    }

    /// Whether nothing ever goes wrong, so that there is nothing to keep count of.
    fn is_harmless(&self) -> bool {
        self.rates == FaultRates { stall: self.rates.stall, ..FaultRates::default() }
    }

    fn fate(&self, verb: &str, what: &dyn Display) -> InjectedFault {
        let name = format!("{verb} {what}");
        let count = {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            let count = memory.num_requests.entry(name.clone()).or_default();
            *count += 1;
            *count
        };
        let mut dice = SeededRng::named(self.seed, &name, count);
        // One draw for each, always in this order, so that one rate does not move the others' faults.
        let mut strikes = |rate: f64| dice.fraction() < rate;
        InjectedFault {
            stalls: strikes(self.rates.stalls),
            fails: strikes(self.rates.errors),
            loses_acknowledgement: strikes(self.rates.lost_acknowledgements),
            is_stale: strikes(self.rates.stale_listings),
            truncates: strikes(self.rates.truncated_bodies),
            cut: dice.fraction(),
        }
    }

    /// Remembers a listing and gives the one before it.
    fn remember(&self, prefix: &Prefix, listing: Vec<Listed>) -> Vec<Listed> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.listings.insert(prefix.to_string(), listing).unwrap_or_default()
    }
}

/// What befalls one request.
#[derive(Default)]
struct InjectedFault {
    stalls: bool,
    fails: bool,
    loses_acknowledgement: bool,
    is_stale: bool,
    truncates: bool,
    /// Where a truncated body ends, as a fraction of it.
    cut: f64,
}

impl InjectedFault {
    fn acknowledge<T>(&self, what: &dyn Display, outcome: T) -> Result<T, BucketError> {
        match self.loses_acknowledgement {
            true => Err(spoilt(what, "injected loss of the acknowledgement")),
            false => Ok(outcome),
        }
    }
}

fn spoilt(what: &dyn Display, reason: &'static str) -> BucketError {
    BucketError::Unavailable { what: what.to_string(), source: reason.into() }
}

#[async_trait]
impl<B: Bucket> Bucket for Faulty<B> {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        let fate = self.begin("get", key).await?;
        let body = self.inner.get(key, limit).await?;
        match fate.truncates {
            true => Ok(body.slice(..(body.len() as f64 * fate.cut) as usize)),
            false => Ok(body),
        }
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        let fate = self.begin("put", key).await?;
        let outcome = self.inner.put_new(key, body).await?;
        fate.acknowledge(key, outcome)
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        let fate = self.begin("list", prefix).await?;
        if self.is_harmless() {
            return self.inner.list(prefix, after).await;
        }
        let fresh = self.inner.list(prefix, None).await?;
        let mut listing = match fate.is_stale {
            true => self.remember(prefix, fresh),
            false => {
                self.remember(prefix, fresh.clone());
                fresh
            }
        };
        listing.retain(|listed| after.is_none_or(|after| listed.key > *after));
        Ok(listing)
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        let fate = self.begin("delete", key).await?;
        self.inner.delete(key).await?;
        fate.acknowledge(key, ())
    }
}
