//! A bucket that stops before the bill gets too long.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::bucket::bucket::{Bucket, Listed, Put};
use crate::bucket::error::BucketError;
use crate::objects::{Key, Prefix};

/// Bytes that may still pass to and from one bucket or several: clones of it spend the same.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    budget: u64,
    left: Arc<Mutex<u64>>,
}

impl ByteBudget {
    /// A purse with `budget` bytes in it.
    pub fn new(budget: u64) -> Self {
        Self { budget, left: Arc::new(Mutex::new(budget)) }
    }

    fn left(&self) -> MutexGuard<'_, u64> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets up to `most` bytes aside until they are spent or given back.
    fn set_aside(&self, most: u64) -> Reserve<'_> {
        let mut left = self.left();
        let bytes = most.min(*left);
        *left -= bytes;
        Reserve { shared_budget: self, bytes }
    }
}

/// Lets a number of bytes pass, up and down together, and then nothing more.
///
/// Bodies count, also those of failed writes; headers and listings do not. A write that does not fit is not begun, and
/// what concurrent reads may bring is set aside first, so the budget is never exceeded.
#[derive(Debug)]
pub struct Budgeted<B> {
    inner: B,
    shared_budget: ByteBudget,
}

impl<B: Bucket> Budgeted<B> {
    /// Lets `budget` bytes pass to and from `inner`.
    pub fn new(inner: B, budget: u64) -> Self {
        Self::sharing(inner, ByteBudget::new(budget))
    }

    /// Lets pass to and from `inner` what it and all other buckets with the same purse leave in it.
    pub fn sharing(inner: B, shared_budget: ByteBudget) -> Self {
        Self { inner, shared_budget }
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        *self.shared_budget.left()
    }

    fn spent(&self, what: String, needed: u64, left: u64) -> BucketError {
        BucketError::BudgetSpent { what, needed, left, budget: self.shared_budget.budget }
    }
}

/// Bytes set aside for a read; what it does not spend goes back when it ends, however it ends.
struct Reserve<'shared_budget> {
    shared_budget: &'shared_budget ByteBudget,
    bytes: u64,
}

impl Drop for Reserve<'_> {
    fn drop(&mut self) {
        *self.shared_budget.left() += self.bytes;
    }
}

#[async_trait]
impl<B: Bucket> Bucket for Budgeted<B> {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        let mut reserve = self.shared_budget.set_aside(limit);
        match self.inner.get(key, reserve.bytes).await {
            Ok(body) => {
                reserve.bytes = reserve.bytes.saturating_sub(body.len() as u64);
                Ok(body)
            }
            // Larger than what is left, but not larger than what was asked for.
            Err(BucketError::TooLarge { what, announced, .. }) if announced <= limit => {
                Err(self.spent(what, announced, reserve.bytes))
            }
            Err(BucketError::TooLarge { what, announced, .. }) => {
                Err(BucketError::TooLarge { what, announced, limit })
            }
            Err(error) => Err(error),
        }
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        let needed = body.len() as u64;
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
