//! Failures of a simulation, with the data to replay them.

use super::scenario::Scenario;
use super::trace::{Actor, Trace};
use crate::objects::{Exclusion, Lineage};
use crate::primitives::{Digest, Round};
use crate::run::CommsError;

/// A broken law of the protocol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum FailureKind {
    /// Two actors have different weights at the start of a round.
    #[error("{second} has {got:?} at the start of {round}, {first} has {expected:?}")]
    Diverged {
        round: Round,
        first: Actor,
        expected: (Lineage, Digest),
        second: Actor,
        got: (Lineage, Digest),
    },

    /// An actor met an error that a restart cannot fix.
    #[error("{actor} met an error that does not pass: {source}")]
    FatalError {
        actor: Actor,
        #[source]
        source: CommsError,
    },

    /// A manifest includes a delta that cannot be applied.
    #[error("{actor} cannot apply a delta of {round}: {reason}")]
    NotApplicable { actor: Actor, round: Round, reason: Exclusion },

    /// The weights after a round differ from those in its manifest.
    #[error("{actor} has other weights than the manifest of {round} states")]
    WeightsDifferFromManifest { actor: Actor, round: Round },

    /// The time limit passed before all actors finished.
    #[error("the run did not finish in time, it reached {reached}")]
    TooSlow { reached: Round },

    /// All actors wait, and no timer is pending.
    #[error("no actor can continue")]
    Deadlock,
}

/// A broken law with its scenario and the trace up to it.
#[derive(Debug, thiserror::Error)]
#[error("{problem} (seed {seed})\n{scenario:#?}\n{trace}", seed = scenario.seed)]
pub struct SimulationFailure {
    /// The broken law.
    // Boxed: `Result<Report, SimulationFailure>` is returned by value, and the errors within are
    // large.
    #[source]
    pub problem: Box<FailureKind>,
    /// The scenario.
    pub scenario: Box<Scenario>,
    /// All events.
    pub trace: Trace,
}

/// The reason why an actor stops before the end of the run.
#[derive(Debug)]
pub(crate) enum Interruption {
    /// An error of the bucket or of an object in it; a restart may help.
    Comms(CommsError),
    /// A broken law ends the simulation.
    Law(Box<FailureKind>),
}

impl From<FailureKind> for Interruption {
    fn from(problem: FailureKind) -> Self {
        Self::Law(problem.into())
    }
}

impl From<CommsError> for Interruption {
    fn from(error: CommsError) -> Self {
        Self::Comms(error)
    }
}
