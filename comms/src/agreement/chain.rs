//! A walk along the manifests of a run, which believes nothing that it has not computed.

use bytes::Bytes;

use super::certificate::Certificate;
use super::validator_set::ValidatorSet;
use crate::objects::{Lineage, Manifest, ManifestError};
use crate::primitives::{Round, RunId};

/// The first round whose manifest does not continue the run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the run's history breaks at {round}")]
pub struct BrokenChain {
    /// The first bad round; everything before it holds.
    pub round: Round,
    /// What is wrong with its manifest.
    #[source]
    pub source: ManifestError,
}

impl BrokenChain {
    /// What the person at the keyboard can do, if anything.
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

    /// The history from a checkpoint on that is trusted: weights of lineage `head` at the start of round `next`.
    pub fn resume(run: RunId, validator_set: ValidatorSet, head: Lineage, next: Round) -> Self {
        Self { run, validator_set, head, next }
    }

    /// The lineage of the weights at the start of the [next](Self::next) round.
    pub fn head(&self) -> Lineage {
        self.head
    }

    /// The round whose manifest comes next.
    pub fn next(&self) -> Round {
        self.next
    }

    /// Goes one round further, if the stored manifest of the next round allows it; else the chain stays as it is.
    ///
    /// # Errors
    /// [`BrokenChain`] with the round and what is wrong.
    pub fn extend(&mut self, object: &Bytes) -> Result<Manifest, BrokenChain> {
        let round = self.next;
        let broken = |source| BrokenChain { round, source };
        let certificate =
            Certificate::open(object, self.run, &self.validator_set, round, Some(self.head))
                .map_err(broken)?;
        let manifest = certificate.manifest().clone();
        let last = ManifestError::Malformed { reason: "no number is left for the next round" };
        self.next = round.next().ok_or(broken(last))?;
        self.head = manifest.lineage();
        Ok(manifest)
    }

    /// Goes along all of `objects`, the stored manifests from the next round on.
    ///
    /// # Errors
    /// The first bad round; the chain then stands before it.
    pub fn extend_all<'objects>(
        &mut self,
        objects: impl IntoIterator<Item = &'objects Bytes>,
    ) -> Result<(), BrokenChain> {
        objects.into_iter().try_for_each(|object| self.extend(object).map(drop))
    }
}
