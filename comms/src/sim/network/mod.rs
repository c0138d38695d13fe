//! The simulated network: links with latency, outages, and clocks that are wrong.

mod link;
mod outages;
mod skewed_clock;

pub(crate) use self::link::Link;
pub use self::outages::Outages;
pub(crate) use self::skewed_clock::SkewedClock;
