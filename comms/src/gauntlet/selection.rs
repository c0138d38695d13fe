//! Whose deltas count, and why the others do not.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::judge::Gauntlet;
use super::observations::{Observations, Participation};
use super::shortlist::Shortlist;
use crate::gauntlet::checks::Similarity;
use crate::gauntlet::conduct::PeerTable;
use crate::gauntlet::scoring::Evaluation;
use crate::objects::{DeltaRef, Exclusion};
use crate::primitives::PeerId;

/// What a round is selected by.
pub(crate) struct Selection<'round> {
    /// What was remembered before.
    pub(crate) before: &'round PeerTable,
    /// What is remembered now.
    pub(crate) peer_table: &'round PeerTable,
    /// What was observed.
    pub(crate) inputs: &'round Observations,
    /// Whose deltas were looked at.
    pub(crate) shortlist: &'round Shortlist,
    /// What came out for those who were measured.
    pub(crate) evaluation: &'round Evaluation,
    /// Whose deltas are like others.
    pub(crate) copies: &'round BTreeMap<PeerId, Similarity>,
}

/// A delta that might count.
struct Candidate {
    peer: PeerId,
    delta_ref: DeltaRef,
    score: f64,
    /// What it did in this round, if it was measured.
    gain: f64,
}

impl Candidate {
    /// Better ones first; among those without a score it is the delta itself that counts.
    fn rank(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then(other.gain.total_cmp(&self.gain)).then(self.peer.cmp(&other.peer))
    }
}

impl Gauntlet {
    /// The deltas that count, and for all other peers the reason why none of theirs does.
    pub(crate) fn select(
        &self,
        selection: &Selection<'_>,
    ) -> (BTreeMap<PeerId, DeltaRef>, BTreeMap<PeerId, Exclusion>) {
        let inputs = selection.inputs;
        let mut excluded: BTreeMap<PeerId, Exclusion> = BTreeMap::new();
        excluded.extend(inputs.unknown.iter().map(|peer| (*peer, Exclusion::UnknownPeer)));
        excluded.extend(inputs.joining.iter().map(|peer| (*peer, Exclusion::Newcomer)));
        let mut candidates = Vec::new();
        for (peer, active) in &inputs.active {
            let delta_ref = match active.presence {
                Participation::Delivered(delta_ref) => Ok(delta_ref),
                Participation::Silent(reason) => Err(reason),
            };
            match delta_ref.and_then(|delta_ref| self.candidate(selection, *peer, delta_ref)) {
                Ok(candidate) => candidates.push(candidate),
                Err(reason) => drop(excluded.insert(*peer, reason)),
            }
        }
        candidates.sort_by(Candidate::rank);
        let surplus = candidates.split_off(candidates.len().min(self.max_included as usize));
        excluded.extend(surplus.into_iter().map(|candidate| (candidate.peer, Exclusion::Surplus)));
        (
            candidates.into_iter().map(|candidate| (candidate.peer, candidate.delta_ref)).collect(),
            excluded,
        )
    }

    /// A delta that may count, or the first reason why it may not.
    fn candidate(
        &self,
        selection: &Selection<'_>,
        peer: PeerId,
        delta_ref: DeltaRef,
    ) -> Result<Candidate, Exclusion> {
        if selection.before.get(peer).is_some_and(|known| known.is_banned(selection.inputs.round)) {
            return Err(Exclusion::Banned);
        }
        if let Some(reason) = selection.inputs.refused.get(&peer) {
            return Err(*reason);
        }
        if selection.copies.contains_key(&peer) {
            return Err(Exclusion::Copied);
        }
        let record = selection.peer_table.get(peer).ok_or(Exclusion::Unproven)?;
        let score = record.score;
        let Some(gain) = selection.evaluation.scores.get(&peer).copied() else {
            let is_on_list = selection.shortlist.gathered.contains(&peer);
            return match record.is_established(&self.config) {
                true if is_on_list => Ok(Candidate { peer, delta_ref, score, gain: 0.0 }),
                true => Err(Exclusion::Surplus),
                false => Err(Exclusion::Unproven),
            };
        };
        let measurement = selection.inputs.measurements.get(&peer);
        match gain {
            _ if !measurement.is_some_and(|measurement| measurement.is_usable()) => {
                Err(Exclusion::NotFinite)
            }
            gain if gain <= 0.0 => Err(Exclusion::Harmful),
            gain if gain < selection.evaluation.useful => Err(Exclusion::Judged),
            _ if !record.is_credible(&self.config) => Err(Exclusion::Unproven),
            gain => Ok(Candidate { peer, delta_ref, score, gain }),
        }
    }
}
