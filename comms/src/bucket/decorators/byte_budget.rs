//! A bucket with a limit on the bytes that are transferred in total.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::bucket::bucket::{Bucket, Listed, Put};
use crate::bucket::error::BucketError;
use crate::objects::{Key, Prefix};

/// A number of bytes that may be transferred, in both directions together. Clones share it.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    budget: u64,
    left: Arc<Mutex<u64>>,
}

impl ByteBudget {
    /// Creates a budget of `budget` bytes.
    pub fn new(budget: u64) -> Self {
        Self { budget, left: Arc::new(Mutex::new(budget)) }
    }

    fn left(&self) -> MutexGuard<'_, u64> {
        // The number stays valid if a task panics while it holds the lock.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves up to `most` bytes until they are spent or returned.
    fn reserve(&self, most: u64) -> Reservation<'_> {
        let mut left = self.left();
        let bytes = most.min(*left);
        *left -= bytes;
        Reservation { shared_budget: self, bytes }
    }
}

/// Limits the bytes that are transferred to and from a bucket; exceeds the budget in no order of
/// events.
///
/// Bodies count, also those of failed writes; headers and listings do not. A write that does not
/// fit is not begun. A read reserves its limit first, so concurrent reads cannot spend the same
/// bytes.
#[derive(Debug)]
pub struct Budgeted<B> {
    inner: B,
    shared_budget: ByteBudget,
}

impl<B: Bucket> Budgeted<B> {
    /// Limits the transfers of `inner` to `budget` bytes.
    pub fn new(inner: B, budget: u64) -> Self {
        Self::sharing(inner, ByteBudget::new(budget))
    }

    /// Limits the transfers of `inner` and of all other buckets with `shared_budget` together.
    pub fn sharing(inner: B, shared_budget: ByteBudget) -> Self {
        Self { inner, shared_budget }
    }

    /// The number of bytes that are left.
    pub fn left(&self) -> u64 {
        *self.shared_budget.left()
    }

    fn spent(&self, what: String, needed: u64, left: u64) -> BucketError {
        BucketError::BudgetSpent { what, needed, left, budget: self.shared_budget.budget }
    }
}

/// Bytes that a read may spend.
struct Reservation<'shared_budget> {
    shared_budget: &'shared_budget ByteBudget,
    bytes: u64,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        // Also runs if the read fails or its future is dropped, so no end of a read loses unspent
        // bytes.
        *self.shared_budget.left() += self.bytes;
    }
}

#[async_trait]
impl<B: Bucket> Bucket for Budgeted<B> {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        let mut reservation = self.shared_budget.reserve(limit);
        match self.inner.get(key, reservation.bytes).await {
            Ok(body) => {
                reservation.bytes = reservation.bytes.saturating_sub(body.len() as u64);
                Ok(body)
            }
            // The object fits the caller's limit, but not the reservation.
            Err(BucketError::TooLarge { what, announced, .. }) if announced <= limit => {
                Err(self.spent(what, announced, reservation.bytes))
            }
            Err(BucketError::TooLarge { what, announced, .. }) => {
                Err(BucketError::TooLarge { what, announced, limit })
            }
            Err(error) => Err(error),
        }
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        let needed = body.len() as u64;
        // In a block: the lock must not be held while the write waits for the network.
        {
            let mut left = self.shared_budget.left();
            *left = left
                .checked_sub(needed)
                .ok_or_else(|| self.spent(key.to_string(), needed, *left))?;
        }
        self.inner.put_new(key, body).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.inner.delete(key).await
    }
}
