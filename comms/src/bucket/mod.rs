//! Where peers meet: a place for objects that are written once, in memory, in a folder or behind S3.
//!
//! [`Bucket`] is the contract, [`open`] gets one by its URL, and [`Retry`], [`Bandwidth`] and [`ByteBudget`] wrap any
//! bucket in another. [`check_conformance`] holds every one of them to the contract.
//!
//! A peer stacks them so: the bandwidth cap outside, because its pauses are no fault of the store; within it the retry,
//! and within that the budget, which so counts every try. Several buckets can share one [`Line`] and one [`Purse`].

mod access;
mod bandwidth;
mod budget;
mod conformance;
mod contract;
mod error;
mod location;
mod memory;
mod neighbourhood;
mod probe;
mod retry;
mod store;

pub use access::{Access, Secret};
pub use bandwidth::{Bandwidth, BandwidthCap, Line};
pub use budget::{ByteBudget, Purse};
pub use conformance::{Violation, check_conformance};
pub use contract::{Bucket, Listed, Put};
pub use error::BucketError;
pub use location::{Location, open};
pub use memory::MemoryBucket;
pub use probe::{Creation, MAX_SKEW, Probe, probe, skew};
pub use retry::{Retry, RetryPolicy};
pub use store::StoreBucket;
