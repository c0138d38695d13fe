//! Tests of rounds with peers and validators in one process, on a virtual clock.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod audits;
mod closing;
mod cluster;
mod documents;
mod enlistment;
mod membership;
mod peer_buckets;
mod rejections;
mod retention;
mod validator_set;
