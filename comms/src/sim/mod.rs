//! A deterministic simulation of whole runs in virtual time, with faults and attacks.
//!
//! Real protocol code runs over a bucket in memory; only the model, the network and the clocks are
//! simulated. Equal scenarios lead to equal traces, event by event, so every failure can be
//! replayed from its seed. The code uses no threads, no system clock and no system randomness.
//! Start with [`Scenario`] and [`run`]; [`adversary`] simulates dishonest peers.
//!
//! ```rust
//! use covey_comms::sim::{Scenario, run};
//!
//! // Two peers for three rounds, without faults, from seed 1.
//! let report = run(&Scenario::calm(2, 3, 1))?;
//! assert_eq!((report.rounds, report.crashes), (3, 0));
//! # Ok::<(), covey_comms::sim::SimulationFailure>(())
//! ```

pub(crate) mod actors;
pub mod adversary;
mod failure;
mod keys;
pub mod network;
mod scenario;
mod simulation;
mod trace;
mod world;

pub use self::failure::{FailureKind, SimulationFailure};
pub use self::scenario::{InjectedFailure, Scenario};
pub use self::simulation::{Report, run};
pub use self::trace::{Actor, Trace};
