//! The record of a contest, and the figures that follow from it.

use std::collections::{BTreeMap, BTreeSet};

use crate::gauntlet::RoundOutcome;
use crate::gauntlet::conduct::Penalty;
use crate::objects::Exclusion;
use crate::primitives::PeerId;

/// One round, from the verdict behind its manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct ContestRound {
    /// The peers with an included delta.
    pub included: BTreeSet<PeerId>,
    /// The excluded peers, with the reason.
    pub excluded: BTreeMap<PeerId, Exclusion>,
    /// All penalties.
    pub penalties: Vec<Penalty>,
    /// The payouts by peer.
    pub payouts: BTreeMap<PeerId, f64>,
    /// The number of evaluated deltas.
    pub num_measured: usize,
    /// The mean loss over all data after the round.
    pub loss: f64,
}

impl ContestRound {
    pub(super) fn of(outcome: &RoundOutcome, num_measured: usize, loss: f64) -> Self {
        Self {
            included: outcome.included.keys().copied().collect(),
            excluded: outcome.excluded.clone(),
            penalties: outcome.penalties.clone(),
            payouts: outcome.payouts.clone(),
            num_measured,
            loss,
        }
    }

    fn names_any(&self, peers: &BTreeSet<PeerId>) -> bool {
        self.included.iter().chain(self.excluded.keys()).any(|peer| peers.contains(peer))
    }

    /// The share of a peer in the payouts of this round.
    fn share(&self, peer: PeerId) -> f64 {
        let paid: f64 = self.payouts.values().sum();
        // A round without payouts, such as one without deltas, counts as zero for all.
        if paid > 0.0 { self.payouts.get(&peer).copied().unwrap_or_default() / paid } else { 0.0 }
    }
}

/// The result of a contest.
#[derive(Clone, Debug, PartialEq)]
pub struct ContestReport {
    /// The honest peers.
    pub honest: BTreeSet<PeerId>,
    /// The dishonest peers.
    pub attackers: BTreeSet<PeerId>,
    /// All scored rounds, from round 1 on.
    pub rounds: Vec<ContestRound>,
}

impl ContestReport {
    /// The loss after the last round.
    pub fn loss(&self) -> f64 {
        self.rounds.last().map_or(f64::NAN, |round| round.loss)
    }

    /// The number of rounds from the first appearance of an attacker to the last one that includes
    /// an attacker; zero if none was ever included.
    pub fn rounds_until_excluded(&self) -> usize {
        // From the first appearance: attackers of a burst join late.
        let first = self.rounds.iter().position(|round| round.names_any(&self.attackers));
        let first = first.unwrap_or(0);
        let last =
            self.rounds.iter().rposition(|round| !round.included.is_disjoint(&self.attackers));
        last.map_or(0, |last| last + 1 - first)
    }

    /// The mean share of rounds that include an attacker.
    pub fn included_share_of_attackers(&self) -> f64 {
        self.included_share(&self.attackers)
    }

    /// The mean share of rounds that include an honest peer.
    pub fn included_share_of_honest(&self) -> f64 {
        self.included_share(&self.honest)
    }

    fn included_share(&self, peers: &BTreeSet<PeerId>) -> f64 {
        let included: usize =
            self.rounds.iter().map(|round| round.included.intersection(peers).count()).sum();
        included as f64 / (self.rounds.len() * peers.len()).max(1) as f64
    }

    /// The mean share of a peer in the payouts of a round.
    pub fn share(&self, peer: PeerId) -> f64 {
        let shares = self.rounds.iter().map(|round| round.share(peer));
        shares.sum::<f64>() / self.rounds.len().max(1) as f64
    }

    /// The smallest share of an honest peer.
    pub fn weakest_honest_share(&self) -> f64 {
        self.honest.iter().map(|peer| self.share(*peer)).fold(1.0, f64::min)
    }

    /// The largest share of an attacker.
    pub fn strongest_attacker_share(&self) -> f64 {
        self.attackers.iter().map(|peer| self.share(*peer)).fold(0.0, f64::max)
    }

    /// The mean share of an attacker.
    pub fn mean_attacker_share(&self) -> f64 {
        self.attackers.iter().map(|peer| self.share(*peer)).sum::<f64>()
            / self.attackers.len().max(1) as f64
    }

    /// The number of exclusions of attackers, by reason.
    pub fn reasons(&self) -> BTreeMap<Exclusion, usize> {
        // A column of `docs/results/adversaries.md`: it shows which rules stop an attack.
        let mut reasons = BTreeMap::new();
        let excluded = self.rounds.iter().flat_map(|round| &round.excluded);
        for (_, reason) in excluded.filter(|(peer, _)| self.attackers.contains(peer)) {
            *reasons.entry(*reason).or_default() += 1;
        }
        reasons
    }
}
