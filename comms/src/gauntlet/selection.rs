//! The selection: which deltas are included, and why the others are excluded.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::config::GauntletConfig;
use super::observations::{Observations, Participation};
use super::shortlist::Shortlist;
use crate::gauntlet::checks::Similarity;
use crate::gauntlet::conduct::{PeerRecord, PeerTable};
use crate::gauntlet::scoring::Evaluation;
use crate::objects::{DeltaRef, Exclusion};
use crate::primitives::PeerId;

/// The intermediate results of a round on which the selection depends.
pub(crate) struct Selection<'round> {
    /// The constants.
    pub(crate) config: &'round GauntletConfig,
    /// Largest number of included deltas.
    pub(crate) max_included: u32,
    /// The records before the round.
    pub(crate) before: &'round PeerTable,
    /// The records after penalties.
    pub(crate) peer_table: &'round PeerTable,
    /// The observations.
    pub(crate) inputs: &'round Observations,
    /// The peers with fetched deltas.
    pub(crate) shortlist: &'round Shortlist,
    /// The results of the evaluated peers.
    pub(crate) evaluation: &'round Evaluation,
    /// The offenders of similar pairs.
    pub(crate) copies: &'round BTreeMap<PeerId, Similarity>,
}

/// A delta that can be included.
struct Candidate {
    peer: PeerId,
    delta_ref: DeltaRef,
    score: f64,
    /// Its gradient score, or 0 if it was not evaluated.
    gain: f64,
}

impl Candidate {
    /// The better candidate first. Peers on probation have no score yet, so the gain decides.
    fn rank(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        // The ID last, so the order is total and the same on every machine.
        by_score.then(other.gain.total_cmp(&self.gain)).then(self.peer.cmp(&other.peer))
    }
}

impl Selection<'_> {
    /// Returns the included deltas, and for every other named peer the reason of its exclusion.
    pub(crate) fn select(&self) -> (BTreeMap<PeerId, DeltaRef>, BTreeMap<PeerId, Exclusion>) {
        let inputs = self.inputs;
        let mut excluded: BTreeMap<PeerId, Exclusion> = BTreeMap::new();
        excluded.extend(inputs.unknown.iter().map(|peer| (*peer, Exclusion::UnknownPeer)));
        excluded.extend(inputs.joining.iter().map(|peer| (*peer, Exclusion::Newcomer)));
        let mut candidates = Vec::new();
        for (peer, active) in &inputs.active {
            let candidate = match active.presence {
                Participation::Delivered(delta_ref) => self.candidate(*peer, delta_ref),
                Participation::Silent(reason) => Err(reason),
            };
            match candidate {
                Ok(candidate) => candidates.push(candidate),
                Err(reason) => drop(excluded.insert(*peer, reason)),
            }
        }
        candidates.sort_by(Candidate::rank);
        let surplus = candidates.split_off(candidates.len().min(self.max_included as usize));
        excluded.extend(surplus.into_iter().map(|candidate| (candidate.peer, Exclusion::Surplus)));
        let included = candidates.into_iter();
        (included.map(|candidate| (candidate.peer, candidate.delta_ref)).collect(), excluded)
    }

    /// Returns a delta that can be included, or the first reason that applies against it.
    fn candidate(&self, peer: PeerId, delta_ref: DeltaRef) -> Result<Candidate, Exclusion> {
        // The records before the round: a ban of this round starts with the next one.
        if self.before.get(peer).is_some_and(|record| record.is_banned(self.inputs.round)) {
            return Err(Exclusion::Banned);
        }
        if let Some(reason) = self.inputs.refused.get(&peer) {
            return Err(*reason);
        }
        if self.copies.contains_key(&peer) {
            return Err(Exclusion::Copied);
        }
        let record = self.peer_table.get(peer).ok_or(Exclusion::Unproven)?;
        let score = record.score;
        let gain = match self.evaluation.scores.get(&peer) {
            Some(gain) => self.check_evaluated(peer, record, *gain)?,
            None => self.check_unevaluated(peer, record)?,
        };
        Ok(Candidate { peer, delta_ref, score, gain })
    }

    /// Returns the gain of an evaluated delta that can be included.
    fn check_evaluated(
        &self,
        peer: PeerId,
        record: &PeerRecord,
        gain: f64,
    ) -> Result<f64, Exclusion> {
        let measurement = self.inputs.measurements.get(&peer);
        if !measurement.is_some_and(|measurement| measurement.is_usable()) {
            return Err(Exclusion::NotFinite);
        }
        if gain <= 0.0 {
            return Err(Exclusion::Harmful);
        }
        if gain < self.evaluation.min_gain {
            return Err(Exclusion::Judged);
        }
        // Last: a helpful delta of a peer that trains on other data than it was assigned.
        if !record.is_credible(self.config) {
            return Err(Exclusion::Unproven);
        }
        Ok(gain)
    }

    /// Returns the gain, 0, of a delta that can be included without evaluation.
    fn check_unevaluated(&self, peer: PeerId, record: &PeerRecord) -> Result<f64, Exclusion> {
        if !record.is_established(self.config) {
            return Err(Exclusion::Unproven);
        }
        // Outside of the shortlist no validator has fetched the delta, so none can apply it.
        if !self.shortlist.gathered.contains(&peer) {
            return Err(Exclusion::Surplus);
        }
        Ok(0.0)
    }
}
