//! What came out of a contest.

use std::collections::{BTreeMap, BTreeSet};

use crate::gauntlet::RoundOutcome;
use crate::gauntlet::conduct::Penalty;
use crate::objects::Exclusion;
use crate::primitives::PeerId;

/// One round, by the verdict that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct ContestRound {
    /// Whose deltas count.
    pub included: BTreeSet<PeerId>,
    /// Who is out, and why.
    pub excluded: BTreeMap<PeerId, Exclusion>,
    /// Who is punished.
    pub penalties: Vec<Penalty>,
    /// Who gets what.
    pub payouts: BTreeMap<PeerId, f64>,
    /// How many deltas were measured.
    pub num_measured: usize,
    /// The mean loss over all data after the round.
    pub loss: f64,
}

impl ContestRound {
    pub(crate) fn of(outcome: &RoundOutcome, num_measured: usize, loss: f64) -> Self {
        Self {
            included: outcome.included.keys().copied().collect(),
            excluded: outcome.excluded.clone(),
            penalties: outcome.penalties.clone(),
            payouts: outcome.payouts.clone(),
            num_measured,
            loss,
        }
    }
}

/// A contest that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct ContestReport {
    /// Who was honest.
    pub honest: BTreeSet<PeerId>,
    /// Who was not.
    pub attackers: BTreeSet<PeerId>,
    /// All judged rounds, from round 1 on.
    pub rounds: Vec<ContestRound>,
}

impl ContestReport {
    /// The loss at the end.
    pub fn loss(&self) -> f64 {
        self.rounds.last().map_or(f64::NAN, |round| round.loss)
    }

    /// How many rounds there were until no cheat was in any more, counted from its first one; all, if one still is.
    pub fn rounds_until_excluded(&self) -> usize {
        let names_attacker = |round: &ContestRound| {
            round
                .included
                .iter()
                .chain(round.excluded.keys())
                .any(|peer| self.attackers.contains(peer))
        };
        let first = self.rounds.iter().position(names_attacker).unwrap_or(0);
        let last =
            self.rounds.iter().rposition(|round| !round.included.is_disjoint(&self.attackers));
        last.map_or(0, |last| last + 1 - first)
    }

    /// In how many of all rounds a cheat was in.
    pub fn included_share_of_attackers(&self) -> f64 {
        self.delta_ref(&self.attackers)
    }

    /// In how many of all rounds an honest peer was in.
    pub fn included_share_of_honest(&self) -> f64 {
        self.delta_ref(&self.honest)
    }

    fn delta_ref(&self, peers: &BTreeSet<PeerId>) -> f64 {
        let included: usize =
            self.rounds.iter().map(|round| round.included.intersection(peers).count()).sum();
        included as f64 / (self.rounds.len() * peers.len()).max(1) as f64
    }

    /// The mean share of all payouts that a peer got.
    pub fn share(&self, peer: PeerId) -> f64 {
        let share = |round: &ContestRound| {
            let paid: f64 = round.payouts.values().sum();
            if paid > 0.0 {
                round.payouts.get(&peer).copied().unwrap_or_default() / paid
            } else {
                0.0
            }
        };
        self.rounds.iter().map(share).sum::<f64>() / self.rounds.len().max(1) as f64
    }

    /// The share of the honest peer that got the least.
    pub fn weakest_honest_share(&self) -> f64 {
        self.honest.iter().map(|peer| self.share(*peer)).fold(1.0, f64::min)
    }

    /// The share of the cheat that got the most.
    pub fn strongest_attacker_share(&self) -> f64 {
        self.attackers.iter().map(|peer| self.share(*peer)).fold(0.0, f64::max)
    }

    /// What a cheat got on average.
    pub fn mean_attacker_share(&self) -> f64 {
        self.attackers.iter().map(|peer| self.share(*peer)).sum::<f64>()
            / self.attackers.len().max(1) as f64
    }

    /// Why cheats were out, and how often.
    pub fn reasons(&self) -> BTreeMap<Exclusion, usize> {
        let mut reasons = BTreeMap::new();
        let excluded = self.rounds.iter().flat_map(|round| &round.excluded);
        for (_, reason) in excluded.filter(|(peer, _)| self.attackers.contains(peer)) {
            *reasons.entry(*reason).or_default() += 1;
        }
        reasons
    }
}
