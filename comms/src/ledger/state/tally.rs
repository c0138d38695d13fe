//! The statements of validators by round, and the agreement among them.

use std::collections::BTreeMap;

use super::validator_set_change::ValidatorSetChange;
use crate::ledger::rejection::Rejection;
use crate::primitives::{PeerId, Round};

/// The statements on one round.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RoundTally<T> {
    by: BTreeMap<PeerId, T>,
    agreed: Option<T>,
}

/// Statements of validators by round.
///
/// - Each validator posts once per round.
/// - A statement is agreed once as many current validators as the threshold posted it. The first
///   agreement is final: a later validator set cannot change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally<T>(BTreeMap<Round, RoundTally<T>>);

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Copy + PartialEq> Tally<T> {
    /// Checks that `validator` has not posted on `round` yet.
    pub(super) fn permits(&self, round: Round, validator: PeerId) -> Result<(), Rejection> {
        match self.posted(round, validator) {
            Some(_) => Err(Rejection::AlreadyPosted { validator, round }),
            None => Ok(()),
        }
    }

    pub(super) fn add(
        &mut self,
        round: Round,
        validator: PeerId,
        statement: T,
        validator_set: &ValidatorSetChange,
    ) {
        let tally =
            self.0.entry(round).or_insert_with(|| RoundTally { by: BTreeMap::new(), agreed: None });
        tally.by.insert(validator, statement);
        // Statements of former validators stay visible, but only the current set can agree.
        let num_equal = tally
            .by
            .iter()
            .filter(|(peer, other)| validator_set.members.contains(peer) && **other == statement)
            .count();
        if tally.agreed.is_none() && num_equal >= validator_set.threshold as usize {
            tally.agreed = Some(statement);
        }
    }

    /// The statement of `validator` on `round`.
    pub fn posted(&self, round: Round, validator: PeerId) -> Option<T> {
        self.0.get(&round)?.by.get(&validator).copied()
    }

    /// The agreed statement on `round`.
    pub fn agreed(&self, round: Round) -> Option<T> {
        self.0.get(&round)?.agreed
    }

    /// All rounds in ascending order, each with the statements by validator and the agreed one.
    pub fn rounds(&self) -> impl Iterator<Item = (Round, &BTreeMap<PeerId, T>, Option<T>)> {
        self.0.iter().map(|(round, tally)| (*round, &tally.by, tally.agreed))
    }

    /// The newest agreed round.
    pub fn newest(&self) -> Option<(Round, T)> {
        self.0.iter().rev().find_map(|(round, tally)| Some((*round, tally.agreed?)))
    }
}
