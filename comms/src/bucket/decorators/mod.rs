//! Buckets around a bucket: retries, rate limits, byte budgets, and injected faults.
//!
//! Each decorator is a [`Bucket`](super::Bucket) and adds one behaviour. None of them changes an
//! object or a key. The order matters: a byte budget inside of the retries counts every attempt, a
//! rate limit outside of them counts a body once. Start with [`Retry`].
//!
//! ```rust
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use covey_comms::bucket::Bucket;
//! use covey_comms::bucket::decorators::{Budgeted, Retry, RetryPolicy};
//! use covey_comms::bucket::stores::MemoryBucket;
//! use covey_comms::objects::Key;
//! use covey_comms::primitives::{Round, VirtualClock};
//!
//! let clock = Arc::new(VirtualClock::default());
//! let budgeted = Budgeted::new(MemoryBucket::new(clock.clone()), 10);
//! let jitter_seed = 7; // In a program: random bits of the system.
//! let bucket = Retry::new(budgeted, clock.clone(), RetryPolicy::default(), jitter_seed);
//! let key = Key::Manifest(Round(1));
//! assert!(clock.run(bucket.put_new(&key, Bytes::from(vec![1; 8]))).unwrap().is_ok());
//! // Two bytes are left.
//! assert!(clock.run(bucket.get(&key, 8)).unwrap().is_err());
//! ```

mod byte_budget;
#[cfg(feature = "testing")]
mod faulty;
mod rate_limit;
mod retry;

pub use self::byte_budget::{Budgeted, ByteBudget};
#[cfg(feature = "testing")]
pub use self::faulty::{FaultRates, Faulty};
pub use self::rate_limit::{RateLimit, RateLimited, RateLimiter};
pub use self::retry::{Retry, RetryPolicy};
