//! Which of all deltas of a round are worth a look.
//!
//! However many peers there are, as many are evaluated in each round, so that the cost of a round stays the same. All
//! randomness is per peer, from the round's seed: it does not depend on who else is there.

use std::collections::BTreeSet;

use super::judge::Gauntlet;
use crate::agreement::draw::Seed;
use crate::gauntlet::conduct::{PeerRecord, PeerTable};
use crate::primitives::{PeerId, Round};

/// Whose deltas are fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortlist {
    /// Whose deltas are measured.
    pub evaluated: BTreeSet<PeerId>,
    /// Whose deltas may count without being measured, the best first: as many as a round includes, and the reserves.
    pub gathered: Vec<PeerId>,
}

/// A peer that delivered, and what is known of it.
type ShortlistCandidate<'peer_table> = (PeerId, &'peer_table PeerRecord);

impl Shortlist {
    /// Everybody on it.
    pub fn peers(&self) -> BTreeSet<PeerId> {
        self.evaluated.iter().chain(&self.gathered).copied().collect()
    }
}

impl Gauntlet {
    /// The shortlist of a round in which the peers of `delivered` committed and revealed.
    pub fn shortlist(
        &self,
        peer_table: &PeerTable,
        round: Round,
        delivered: &BTreeSet<PeerId>,
        seed: &Seed,
    ) -> Shortlist {
        let unknown = PeerRecord::joining_peer(&self.config, round);
        let known = |peer: &PeerId| (*peer, peer_table.get(*peer).unwrap_or(&unknown));
        let candidates: Vec<ShortlistCandidate<'_>> =
            delivered.iter().map(known).filter(|(_, record)| !record.is_banned(round)).collect();
        Shortlist {
            gathered: self.ranking(&candidates),
            evaluated: self.sample(candidates, round, seed),
        }
    }

    /// The best of those whose deltas need not be measured.
    fn ranking(&self, candidates: &[ShortlistCandidate<'_>]) -> Vec<PeerId> {
        let mut ranked = candidates.to_vec();
        ranked.retain(|(_, record)| record.is_established(&self.config));
        ranked
            .sort_by(|one, other| other.1.score.total_cmp(&one.1.score).then(one.0.cmp(&other.0)));
        let places = (self.max_included as usize).saturating_add(self.config.reserves as usize);
        ranked.into_iter().map(|(peer, _)| peer).take(places).collect()
    }

    /// Who is evaluated: all, if there are not too many; else some who are hardly known and some who were not for long.
    fn sample(
        &self,
        mut candidates: Vec<ShortlistCandidate<'_>>,
        round: Round,
        seed: &Seed,
    ) -> BTreeSet<PeerId> {
        let places = self.config.evaluations as usize;
        if candidates.len() <= places {
            return candidates.into_iter().map(|(peer, _)| peer).collect();
        }
        let is_crowded = candidates.len() >= places.saturating_mul(self.config.bins as usize);
        let num_explored = (places as f64 * self.config.exploration_share).round() as usize;
        candidates.sort_by_cached_key(|(peer, record)| {
            (record.evaluations, ticket(seed, "explore", *peer))
        });
        let rest = candidates.split_off(num_explored.min(places));
        let rest = if is_crowded { self.bin(rest, seed) } else { rest };
        let drawn = self.draw(rest, places - candidates.len(), round, seed);
        candidates.into_iter().map(|(peer, _)| peer).chain(drawn).collect()
    }

    /// One of several groups of peers with ratings alike, so that they play against their like.
    fn bin<'peer_table>(
        &self,
        mut candidates: Vec<ShortlistCandidate<'peer_table>>,
        seed: &Seed,
    ) -> Vec<ShortlistCandidate<'peer_table>> {
        let ordinal = |candidate: &ShortlistCandidate<'_>| candidate.1.rating.ordinal();
        candidates.sort_by(|one, other| {
            ordinal(one).total_cmp(&ordinal(other)).then(one.0.cmp(&other.0))
        });
        let num_bins = self.config.bins.max(1);
        let bin = seed.draw("bin", 1, num_bins.into()).first().map_or(0, |bin| *bin as usize);
        let size = candidates.len().div_ceil(num_bins as usize).max(1);
        candidates.chunks(size).nth(bin).unwrap_or_default().to_vec()
    }

    /// Draws without replacement (Efraimidis and Spirakis, 2006), weighted by the rounds since a peer's last evaluation.
    ///
    /// Those of whom nothing good is known weigh less: their deltas count only if they are measured, so that it is no loss
    /// not to measure them, and a crowd of them does not keep others from being measured.
    fn draw(
        &self,
        candidates: Vec<ShortlistCandidate<'_>>,
        count: usize,
        round: Round,
        seed: &Seed,
    ) -> Vec<PeerId> {
        let key = |(peer, record): ShortlistCandidate<'_>| {
            let waited = round.0.saturating_sub(record.last_evaluated.0).max(1);
            let weight = f64::from(waited)
                * if record.bma > 0.0 { 1.0 } else { self.config.unproven_weight_factor };
            let chance = (ticket(seed, "sample", peer) as f64 + 0.5) / (1_u64 << 53) as f64;
            (libm::log(chance) / weight, peer)
        };
        let mut keys: Vec<(f64, PeerId)> = candidates.into_iter().map(key).collect();
        keys.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        keys.into_iter().take(count).map(|(_, peer)| peer).collect()
    }
}

/// A number of 53 bits for one peer and purpose.
fn ticket(seed: &Seed, purpose: &str, peer: PeerId) -> u64 {
    let mut bytes = [0; 8];
    seed.stream(&format!("{purpose} {peer}")).fill(&mut bytes);
    u64::from_le_bytes(bytes) >> 11
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gauntlet::config::GauntletConfig;

    fn peers(numbers: std::ops::Range<u16>) -> BTreeSet<PeerId> {
        let id = |number: u16| {
            PeerId::from_bytes(std::array::from_fn(|at| number.to_le_bytes()[at % 2]))
        };
        numbers.map(id).collect()
    }

    #[test]
    fn few_are_all_evaluated_many_in_part_and_each_in_turn() {
        let config = GauntletConfig::default();
        let gauntlet = Gauntlet::new(config.clone(), 20);
        let seed = Seed::from_bytes([1; 32]);
        let few = gauntlet.shortlist(&PeerTable::default(), Round(3), &peers(0..20), &seed);
        assert_eq!((few.evaluated, few.gathered), (peers(0..20), vec![]));
        let mut peer_table = PeerTable::default();
        let mut seen = BTreeSet::new();
        for round in (1..=60).map(Round) {
            let seed = Seed::from_bytes([round.0 as u8; 32]);
            let drawn = gauntlet.shortlist(&peer_table, round, &peers(0..200), &seed).evaluated;
            assert_eq!(drawn.len(), 20);
            for peer in &drawn {
                let mut record = peer_table.seen(&config, *peer, round).clone();
                (record.evaluations, record.last_evaluated) = (record.evaluations + 1, round);
                peer_table = peer_table
                    .iter()
                    .map(|(peer, record)| (peer, record.clone()))
                    .chain([(*peer, record)])
                    .collect();
            }
            seen.extend(drawn);
        }
        assert_eq!(seen, peers(0..200));
    }

    #[test]
    fn the_banned_are_not_looked_at_and_the_proven_need_not_be_measured() {
        let config = GauntletConfig { evaluations: 2, reserves: 1, ..GauntletConfig::default() };
        let gauntlet = Gauntlet::new(config.clone(), 2);
        let proven = |(peer, score): (PeerId, f64)| {
            let record = PeerRecord::joining_peer(&config, Round(0));
            (peer, PeerRecord { score, bma: 0.5, evaluations: 50, ..record })
        };
        let scores = [5.0, 7.0, 6.0, 0.0, 9.0];
        let mut peer_table: Vec<(PeerId, PeerRecord)> =
            peers(0..5).into_iter().zip(scores).map(proven).collect();
        peer_table[4].1.banned_until = Some(Round(31));
        let names: Vec<PeerId> = peer_table.iter().map(|(peer, _)| *peer).collect();
        let peer_table: PeerTable = peer_table.into_iter().collect();
        let at = |round| {
            gauntlet.shortlist(&peer_table, Round(round), &peers(0..5), &Seed::from_bytes([9; 32]))
        };
        assert_eq!(at(30).gathered, [names[1], names[2], names[0]]);
        assert!(!at(30).peers().contains(&names[4]));
        assert_eq!(at(31).gathered, [names[4], names[1], names[2]]);
    }
}
