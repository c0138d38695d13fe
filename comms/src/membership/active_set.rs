//! The active peers of a round: who is expected, who keeps the slot, and who joins.
//!
//! Pure functions of manifests and of the listing of join requests, heartbeats and leave notices.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::bucket::Listed;
use crate::objects::{Exclusion, Key, Manifest};
use crate::primitives::{PeerId, Round};

/// The latest join request, heartbeat and leave notice of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Liveness {
    pub(crate) requested_join: bool,
    pub(crate) heartbeat: Option<Round>,
    pub(crate) leave_notice: Option<Round>,
}

impl Liveness {
    /// Returns true if the peer left and has sent no heartbeat since.
    fn has_left(&self) -> bool {
        self.leave_notice.is_some() && self.leave_notice >= self.heartbeat
    }
}

/// The liveness of all peers, from the listings so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attendance(BTreeMap<PeerId, Liveness>);

impl Attendance {
    /// Adds a listing of all peers. Entries only move forward, so a stale listing does no harm.
    pub(crate) fn absorb(&mut self, listing: &[Listed]) {
        for listed in listing {
            // The keys suffice: readers ignore the content of heartbeats and leave notices.
            let Some(peer) = listed.key.owner() else { continue };
            let liveness = self.0.entry(peer).or_default();
            match listed.key {
                Key::JoinRequest(_) => liveness.requested_join = true,
                Key::Heartbeat(_, round) => {
                    liveness.heartbeat = liveness.heartbeat.max(Some(round))
                }
                Key::LeaveNotice(_, round) => {
                    liveness.leave_notice = liveness.leave_notice.max(Some(round))
                }
                _ => {}
            }
        }
    }

    fn of(&self, peer: PeerId) -> Liveness {
        self.0.get(&peer).copied().unwrap_or_default()
    }

    /// The liveness of all listed peers, in ascending order of peers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerId, Liveness)> {
        self.0.iter().map(|(peer, liveness)| (*peer, *liveness))
    }
}

/// The knowledge about one round before any of its deltas is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActiveSet<'known> {
    /// The round.
    pub(crate) round: Round,
    /// The manifests before it, the latest last: `max_missed_rounds` of them, if there are as many.
    pub(crate) history: &'known VecDeque<Manifest>,
    /// The liveness of all peers.
    pub(crate) attendance: &'known Attendance,
    /// Consecutive missed rounds that cost a peer its slot.
    pub(crate) max_missed_rounds: u32,
}

impl ActiveSet<'_> {
    /// Returns true if validators wait for this active peer.
    ///
    /// A peer is expected if it delivered in the previous round or has just joined. A refused peer
    /// is expected if it sent a heartbeat in this round. A peer that missed the previous round is
    /// not expected, unless all peers did.
    pub(crate) fn expects(&self, peer: PeerId) -> bool {
        let liveness = self.attendance.of(peer);
        let Some(last) = self.history.back().filter(|_| !liveness.has_left()) else { return false };
        match last.excluded().get(&peer) {
            None | Some(Exclusion::Surplus) => true,
            // A join request without a heartbeat may be old. Round 0 is over once enough peers sent
            // one, so in round 1 it counts.
            Some(Exclusion::Newcomer) => {
                last.round() == Round::FIRST || liveness.heartbeat.is_some()
            }
            // In a void round the fault is more likely in the network than in every peer.
            Some(reason) if reason.is_silence() && !last.is_void() => false,
            Some(_) => liveness.heartbeat >= Some(self.round),
        }
    }

    /// Returns true if an active peer that misses this round keeps its slot.
    pub(crate) fn keeps_slot(&self, peer: PeerId) -> bool {
        let missed = self
            .history
            .iter()
            .rev()
            .map_while(|manifest| manifest.excluded().get(&peer))
            .take_while(|reason| reason.is_silence())
            .count();
        !self.attendance.of(peer).has_left() && missed as u64 + 1 < self.max_missed_rounds.into()
    }

    /// Returns all peers without a slot with a current request for one, in ascending order.
    ///
    /// A join request alone counts once, as long as no manifest names the peer. After that, only a
    /// heartbeat shows that the peer is back.
    pub(crate) fn applicants(&self, active: &BTreeSet<PeerId>) -> Vec<PeerId> {
        self.attendance
            .iter()
            .filter(|(peer, liveness)| self.applies(*peer, *liveness) && !active.contains(peer))
            .map(|(peer, _)| peer)
            .collect()
    }

    fn applies(&self, peer: PeerId, liveness: Liveness) -> bool {
        let is_present = match liveness.heartbeat {
            // The heartbeat of the previous round still counts: the peer may not know yet that the
            // round is over.
            Some(heartbeat) => heartbeat.next() >= Some(self.round),
            None => !self.history.iter().any(|manifest| names(manifest, peer)),
        };
        liveness.requested_join && is_present && !liveness.has_left()
    }

    /// Returns true if an active peer has sent a heartbeat in this round.
    pub(crate) fn has_started(&self, active: &BTreeSet<PeerId>) -> bool {
        active.iter().any(|peer| self.attendance.of(*peer).heartbeat >= Some(self.round))
    }
}

fn names(manifest: &Manifest, peer: PeerId) -> bool {
    manifest.included().contains_key(&peer) || manifest.excluded().contains_key(&peer)
}
