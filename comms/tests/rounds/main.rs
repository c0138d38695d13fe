//! Laws of the rounds of a run, with peers and validators on a clock that jumps.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod audits;
mod closing;
mod documents;
mod enlistment;
mod membership;
mod quorum;
mod refusals;
mod residences;
mod retention;
mod village;
