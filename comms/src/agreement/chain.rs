//! The verified history of a run, manifest by manifest.

use bytes::Bytes;

use super::certificate::Certificate;
use super::validator_set::ValidatorSet;
use crate::objects::{Lineage, Manifest, ManifestError};
use crate::primitives::{Round, RunId};

/// The first round with a manifest that does not continue the run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the run's history breaks at {round}")]
pub struct BrokenChain {
    /// The first bad round. All rounds before it are valid.
    pub round: Round,
    /// The error in its manifest.
    #[source]
    pub source: ManifestError,
}

impl BrokenChain {
    /// The next step for the user, if there is one.
    pub fn hint(&self) -> Option<String> {
        self.source.hint()
    }
}

/// The verified history of a run up to some round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    run: RunId,
    validator_set: ValidatorSet,
    head: Lineage,
    next: Round,
}

impl Chain {
    /// The history of a run before its first round.
    pub fn genesis(run: RunId, validator_set: ValidatorSet) -> Self {
        Self::resume(run, validator_set, Lineage::genesis(run), Round::FIRST)
    }

    /// The history from a trusted checkpoint on: weights of lineage `head` at the start of `next`.
    pub fn resume(run: RunId, validator_set: ValidatorSet, head: Lineage, next: Round) -> Self {
        Self { run, validator_set, head, next }
    }

    /// The lineage of the weights at the start of the [next](Self::next) round.
    pub fn head(&self) -> Lineage {
        self.head
    }

    /// The round of the next manifest.
    pub fn next(&self) -> Round {
        self.next
    }

    /// Verifies the stored manifest of the next round and moves on by one round. On an error the
    /// chain does not change.
    ///
    /// # Errors
    /// [`BrokenChain`] with the round and the error in its manifest.
    pub fn extend(&mut self, object: &Bytes) -> Result<Manifest, BrokenChain> {
        let (round, head) = (self.next, Some(self.head));
        let (certificate, next) =
            Certificate::open(object, self.run, &self.validator_set, round, head)
                .and_then(|certificate| Ok((certificate, next_round(round)?)))
                .map_err(|source| BrokenChain { round, source })?;
        // Only after all checks: a bad manifest must not move the chain.
        let manifest = certificate.manifest().clone();
        (self.head, self.next) = (manifest.lineage(), next);
        Ok(manifest)
    }

    /// Verifies the stored manifests of the next rounds, in order.
    ///
    /// # Errors
    /// The first bad round. The chain then ends before it.
    pub fn extend_all<'objects>(
        &mut self,
        objects: impl IntoIterator<Item = &'objects Bytes>,
    ) -> Result<(), BrokenChain> {
        objects.into_iter().try_for_each(|object| self.extend(object).map(drop))
    }
}

/// Fails after the last round number; a chain never starts again at round 0.
fn next_round(round: Round) -> Result<Round, ManifestError> {
    round.next().ok_or(ManifestError::Malformed { reason: "no number is left for the next round" })
}
