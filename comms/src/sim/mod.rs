//! Many peers, validators and a bucket in one process, on virtual time, all from one seed.
//!
//! Training is a cheap model of itself; bucket, retry, follower, member and validator are the real ones. [`run`] plays a
//! [`Scenario`] and holds everybody to one law: who applied a round holds the very weights and lineage that the first one
//! who applied it held. A [`Failure`] prints the scenario and a trace of what happened; the same scenario always goes
//! the same way, so the trace replays.

pub mod contest;

mod examining;
mod failure;
mod home;
mod line;
mod model;
mod outages;
mod reader;
mod scenario;
mod skewed_clock;
mod trace;
mod training;
mod validating;
mod world;

pub use failure::{Failure, Problem};
pub use outages::Outages;
pub use scenario::{Sabotage, Scenario};
pub use trace::{Actor, Trace};
pub use world::{Report, run};
