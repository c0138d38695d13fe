//! The shortlist: the deltas of a round that validators fetch.
//!
//! The number of evaluated peers does not grow with the number of peers, so the cost of a round
//! stays the same. Each peer has its own random numbers, derived from the seed of the round: they
//! do not depend on which other peers deliver.

use std::collections::BTreeSet;

use super::config::GauntletConfig;
use crate::agreement::draw::Seed;
use crate::gauntlet::conduct::{PeerRecord, PeerTable};
use crate::primitives::{PeerId, Round};

/// The peers with deltas that validators fetch in a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortlist {
    /// Peers that are evaluated.
    pub evaluated: BTreeSet<PeerId>,
    /// Peers that can be included without evaluation, the best first: `max_included` and the
    /// reserves.
    pub gathered: Vec<PeerId>,
}

impl Shortlist {
    /// All peers of the shortlist.
    pub fn peers(&self) -> BTreeSet<PeerId> {
        self.evaluated.iter().chain(&self.gathered).copied().collect()
    }
}

/// A peer that delivered, with its record.
type ShortlistCandidate<'table> = (PeerId, &'table PeerRecord);

/// The values that every choice of a round depends on.
#[derive(Clone, Copy)]
pub(crate) struct RoundDraw<'round> {
    pub(crate) config: &'round GauntletConfig,
    pub(crate) round: Round,
    pub(crate) seed: &'round Seed,
}

/// Chooses the shortlist among the peers that committed in time and revealed.
pub(crate) fn shortlist(
    draw: RoundDraw<'_>,
    max_included: u32,
    peer_table: &PeerTable,
    delivered: &BTreeSet<PeerId>,
) -> Shortlist {
    let new = PeerRecord::joining_peer(draw.config, draw.round);
    let candidates: Vec<ShortlistCandidate<'_>> = delivered
        .iter()
        .map(|peer| (*peer, peer_table.get(*peer).unwrap_or(&new)))
        .filter(|(_, record)| !record.is_banned(draw.round))
        .collect();
    Shortlist {
        gathered: best_established(draw.config, max_included, &candidates),
        evaluated: sample(draw, candidates),
    }
}

/// The established peers with the highest scores.
fn best_established(
    config: &GauntletConfig,
    max_included: u32,
    candidates: &[ShortlistCandidate<'_>],
) -> Vec<PeerId> {
    let mut ranked = candidates.to_vec();
    ranked.retain(|(_, record)| record.is_established(config));
    ranked.sort_by(|one, other| other.1.score.total_cmp(&one.1.score).then(one.0.cmp(&other.0)));
    let places = (max_included as usize).saturating_add(config.num_reserves as usize);
    ranked.into_iter().map(|(peer, _)| peer).take(places).collect()
}

/// Chooses the peers to evaluate: all of them, if there are few. Otherwise a share goes to those
/// with the fewest evaluations, and the rest is drawn.
fn sample(draw: RoundDraw<'_>, mut candidates: Vec<ShortlistCandidate<'_>>) -> BTreeSet<PeerId> {
    let (config, seed) = (draw.config, draw.seed);
    let places = config.num_evaluated as usize;
    if candidates.len() <= places {
        return candidates.into_iter().map(|(peer, _)| peer).collect();
    }
    let is_crowded = candidates.len() >= places.saturating_mul(config.rating_bins as usize);
    let num_explored = (places as f64 * config.exploration_share).round() as usize;
    // Random among peers with equally few evaluations: an order by ID could be exploited by
    // choosing a key.
    candidates
        .sort_by_cached_key(|(peer, record)| (record.evaluations, ticket(seed, "explore", *peer)));
    let rest = candidates.split_off(num_explored.min(places));
    let rest = if is_crowded { draw_bin(rest, config.rating_bins, seed) } else { rest };
    let drawn = draw_weighted(draw, rest, places - candidates.len());
    candidates.into_iter().map(|(peer, _)| peer).chain(drawn).collect()
}

/// Draws one of several groups of similar ratings. Peers then play against others of their skill.
fn draw_bin<'table>(
    mut candidates: Vec<ShortlistCandidate<'table>>,
    num_bins: u32,
    seed: &Seed,
) -> Vec<ShortlistCandidate<'table>> {
    candidates.sort_by(|one, other| {
        let by_rating = one.1.rating.ordinal().total_cmp(&other.1.rating.ordinal());
        by_rating.then(one.0.cmp(&other.0))
    });
    let num_bins = num_bins.max(1);
    let bin = seed.draw("bin", 1, num_bins.into()).first().map_or(0, |bin| *bin as usize);
    let size = candidates.len().div_ceil(num_bins as usize).max(1);
    candidates.chunks(size).nth(bin).unwrap_or_default().to_vec()
}

/// Draws `count` peers without replacement (Efraimidis and Spirakis, 2006), weighted by the rounds
/// since their last evaluation.
///
/// Peers with a moving average not above 0 have a lower weight. They are included only if they are
/// evaluated, so a missed evaluation costs the run nothing. With full weight, a crowd of them would
/// keep other peers from being evaluated.
fn draw_weighted(
    draw: RoundDraw<'_>,
    candidates: Vec<ShortlistCandidate<'_>>,
    count: usize,
) -> Vec<PeerId> {
    let mut keys: Vec<(f64, PeerId)> = candidates
        .into_iter()
        .map(|(peer, record)| {
            let waited = draw.round.0.saturating_sub(record.last_evaluated.0).max(1);
            let factor = if record.bma > 0.0 { 1.0 } else { draw.config.unproven_weight_factor };
            let weight = f64::from(waited) * factor;
            // In the middle of its interval, so the logarithm is finite. 53 bits fit an f64.
            let chance = (ticket(draw.seed, "sample", peer) as f64 + 0.5) / (1_u64 << 53) as f64;
            (libm::log(chance) / weight, peer)
        })
        .collect();
    keys.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    keys.into_iter().take(count).map(|(_, peer)| peer).collect()
}

/// A random number of 53 bits for one peer and purpose.
fn ticket(seed: &Seed, purpose: &str, peer: PeerId) -> u64 {
    let mut bytes = [0; 8];
    seed.stream(&format!("{purpose} {peer}")).fill(&mut bytes);
    u64::from_le_bytes(bytes) >> 11
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(numbers: std::ops::Range<u16>) -> BTreeSet<PeerId> {
        let id = |number: u16| {
            PeerId::from_bytes(std::array::from_fn(|at| number.to_le_bytes()[at % 2]))
        };
        numbers.map(id).collect()
    }

    fn choose(
        config: &GauntletConfig,
        max_included: u32,
        peer_table: &PeerTable,
        (round, seed): (Round, u8),
        delivered: &BTreeSet<PeerId>,
    ) -> Shortlist {
        let draw = RoundDraw { config, round, seed: &Seed::from_bytes([seed; 32]) };
        shortlist(draw, max_included, peer_table, delivered)
    }

    #[test]
    fn few_peers_are_all_evaluated_and_many_in_turn() {
        let config = GauntletConfig::default();
        let few = choose(&config, 20, &PeerTable::default(), (Round(3), 1), &peers(0..20));
        assert_eq!((few.evaluated, few.gathered), (peers(0..20), vec![]));
        let mut peer_table = PeerTable::default();
        let mut seen = BTreeSet::new();
        for round in (1..=60).map(Round) {
            let place = (round, round.0 as u8);
            let drawn = choose(&config, 20, &peer_table, place, &peers(0..200)).evaluated;
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
    fn banned_peers_are_not_fetched_and_established_ones_need_no_evaluation() {
        let config =
            GauntletConfig { num_evaluated: 2, num_reserves: 1, ..GauntletConfig::default() };
        let established = |(peer, score): (PeerId, f64)| {
            let record = PeerRecord::joining_peer(&config, Round(0));
            (peer, PeerRecord { score, bma: 0.5, evaluations: 50, ..record })
        };
        let scores = [5.0, 7.0, 6.0, 0.0, 9.0];
        let mut records: Vec<(PeerId, PeerRecord)> =
            peers(0..5).into_iter().zip(scores).map(established).collect();
        records[4].1.banned_until = Some(Round(31));
        let names: Vec<PeerId> = records.iter().map(|(peer, _)| *peer).collect();
        let peer_table: PeerTable = records.into_iter().collect();
        let at = |round| choose(&config, 2, &peer_table, (Round(round), 9), &peers(0..5));
        assert_eq!(at(30).gathered, [names[1], names[2], names[0]]);
        assert!(!at(30).peers().contains(&names[4]));
        assert_eq!(at(31).gathered, [names[4], names[1], names[2]]);
    }
}
