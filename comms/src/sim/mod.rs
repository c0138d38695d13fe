//! A deterministic simulation of whole runs on virtual time, with faults and attacks.

pub(crate) mod actors;
pub mod adversary;
mod failure;
pub mod network;
mod scenario;
mod simulation;
mod trace;

pub use self::failure::{Failure, FailureKind};
pub use self::scenario::{InjectedFailure, Scenario};
pub use self::simulation::{Report, run};
pub use self::trace::{Actor, Trace};
