//! What validators said round by round, and what enough of them agree on.

use std::collections::BTreeMap;

use super::validator_set_change::ValidatorSetChange;
use crate::ledger::rejection::Rejection;
use crate::primitives::{PeerId, Round};

/// What was said about one round.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RoundClaims<T> {
    by: BTreeMap<PeerId, T>,
    agreed: Option<T>,
}

/// Statements of validators by round.
///
/// - Each validator speaks once on a round.
/// - What as many as the threshold said at the time stays agreed, whoever validates later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally<T>(BTreeMap<Round, RoundClaims<T>>);

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Copy + PartialEq> Tally<T> {
    /// Whether `validator` may speak on `round`.
    pub(super) fn permits(&self, round: Round, validator: PeerId) -> Result<(), Rejection> {
        match self.said(round, validator) {
            Some(_) => Err(Rejection::AlreadySaid { validator, round }),
            None => Ok(()),
        }
    }

    pub(super) fn add(
        &mut self,
        round: Round,
        validator: PeerId,
        what: T,
        validator_set: &ValidatorSetChange,
    ) {
        let said = self
            .0
            .entry(round)
            .or_insert_with(|| RoundClaims { by: BTreeMap::new(), agreed: None });
        said.by.insert(validator, what);
        let agreeing = said
            .by
            .iter()
            .filter(|(peer, said)| validator_set.members.contains(peer) && **said == what)
            .count();
        if said.agreed.is_none() && agreeing >= validator_set.threshold as usize {
            said.agreed = Some(what);
        }
    }

    /// What `validator` said about `round`.
    pub fn said(&self, round: Round, validator: PeerId) -> Option<T> {
        self.0.get(&round)?.by.get(&validator).copied()
    }

    /// What enough validators said about `round`.
    pub fn agreed(&self, round: Round) -> Option<T> {
        self.0.get(&round)?.agreed
    }

    /// Every round that somebody spoke on, with what each said and what is agreed.
    pub fn rounds(&self) -> impl Iterator<Item = (Round, &BTreeMap<PeerId, T>, Option<T>)> {
        self.0.iter().map(|(round, said)| (*round, &said.by, said.agreed))
    }

    /// The newest round that is agreed on.
    pub fn newest(&self) -> Option<(Round, T)> {
        self.0.iter().rev().find_map(|(round, said)| Some((*round, said.agreed?)))
    }
}
