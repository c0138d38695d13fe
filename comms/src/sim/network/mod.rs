//! The simulated network: links with latency, outages, and clocks with an error.
//!
//! Everything here is a decorator of a real trait ([`Bucket`](crate::bucket::Bucket) or
//! [`Clock`](crate::primitives::Clock)), so the protocol code cannot tell it from the real one. It
//! delays and fails requests, but never changes their content. Start with `BucketLink`.

mod link;
mod outages;
mod skewed_clock;

pub(crate) use self::link::BucketLink;
pub use self::outages::Outages;
pub(crate) use self::skewed_clock::SkewedClock;
