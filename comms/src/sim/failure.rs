//! A simulation that went wrong, with all that is needed to see it again.

use super::scenario::Scenario;
use super::trace::{Actor, Trace};
use crate::objects::{Exclusion, Lineage};
use crate::primitives::{Digest, Round};
use crate::run::CommsError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum FailureKind {
    /// Two actors hold different weights at the start of a round.
    #[error("{second} holds {got:?} at the start of {round}, {first} held {expected:?}")]
    Diverged {
        round: Round,
        first: Actor,
        expected: (Lineage, Digest),
        second: Actor,
        got: (Lineage, Digest),
    },

    /// Somebody met an error that no other try can mend.
    #[error("{actor} met an error that does not pass: {source}")]
    Died {
        actor: Actor,
        #[source]
        source: CommsError,
    },

    /// A delta was included that nobody can apply.
    #[error("{actor} cannot apply a delta of {round}: {reason}")]
    NotApplicable { actor: Actor, round: Round, reason: Exclusion },

    /// The manifest promises other weights.
    #[error("{actor} does not hold the weights that the manifest of {round} names")]
    NotAsPromised { actor: Actor, round: Round },

    /// Not everybody reached the end in time.
    #[error("the run was not over in time, it had reached {reached}")]
    TooSlow { reached: Round },

    /// Somebody waits for something that will never happen.
    #[error("nothing goes on")]
    Stuck,
}

/// A broken law, the world in which it was broken, and how it came to that.
#[derive(Debug, thiserror::Error)]
#[error("{problem} (seed {seed})\n{scenario:#?}\n{trace}", seed = scenario.seed)]
pub struct Failure {
    /// What went wrong.
    #[source]
    pub problem: Box<FailureKind>,
    /// What was played.
    pub scenario: Box<Scenario>,
    /// What happened.
    pub trace: Trace,
}
