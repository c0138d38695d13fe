//! Buckets around a bucket: retries, rate limits, byte budgets, and injected faults.

mod byte_budget;
mod faulty;
mod rate_limit;
mod retry;

pub use self::byte_budget::{Budgeted, ByteBudget};
pub use self::faulty::{FaultRates, Faulty};
pub use self::rate_limit::{RateLimit, RateLimited, RateLimiter};
pub use self::retry::{Retry, RetryPolicy};
