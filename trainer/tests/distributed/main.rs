//! Peers that train for real in one process, on virtual time with a bucket in memory, and on a real
//! S3 server.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod evaluation;
mod faults;
mod gaps;
mod same_bits;
mod validator_set;
mod verification;
mod world;
