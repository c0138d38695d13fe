//! Who is in a round, who is waited for, who is new and who is gone: pure conclusions from manifests and signs of life.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::bucket::Listed;
use crate::objects::{Exclusion, Key, Manifest};
use crate::primitives::{PeerId, Round};

/// The newest signs of life of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Liveness {
    pub(crate) requested_join: bool,
    pub(crate) heartbeat: Option<Round>,
    pub(crate) leave_notice: Option<Round>,
}

impl Liveness {
    /// Whether the peer said farewell and was not heard of since.
    fn has_left(&self) -> bool {
        self.leave_notice.is_some() && self.leave_notice >= self.heartbeat
    }
}

/// The newest signs of life of everybody, as far as listings have shown them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attendance(BTreeMap<PeerId, Liveness>);

impl Attendance {
    /// Learns from a listing of all peers; what was seen before is not forgotten if the listing is stale.
    pub(crate) fn absorb(&mut self, listing: &[Listed]) {
        for listed in listing {
            let Some(peer) = listed.key.owner() else { continue };
            let presence = self.0.entry(peer).or_default();
            match listed.key {
                Key::JoinRequest(_) => presence.requested_join = true,
                Key::Heartbeat(_, round) => {
                    presence.heartbeat = presence.heartbeat.max(Some(round))
                }
                Key::LeaveNotice(_, round) => {
                    presence.leave_notice = presence.leave_notice.max(Some(round))
                }
                _ => {}
            }
        }
    }

    fn of(&self, peer: PeerId) -> Liveness {
        self.0.get(&peer).copied().unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerId, Liveness)> {
        self.0.iter().map(|(peer, presence)| (*peer, *presence))
    }
}

/// The view of one round, from all that can be known before its deltas are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActiveSet<'known> {
    /// The round.
    pub(crate) round: Round,
    /// The manifests before it, the newest last: `patience` of them, if there were so many.
    pub(crate) history: &'known VecDeque<Manifest>,
    /// Who was heard of.
    pub(crate) attendance: &'known Attendance,
    /// A peer that misses this many rounds in a row loses its seat.
    pub(crate) patience: u32,
}

impl ActiveSet<'_> {
    /// Whether the round waits for a peer that has a seat.
    ///
    /// For those who delivered in the round before or are new in this one; for those who were refused, if they are there
    /// all the same; not for those who were silent, unless everybody was.
    pub(crate) fn awaits(&self, peer: PeerId) -> bool {
        let presence = self.attendance.of(peer);
        let Some(last) = self.history.back().filter(|_| !presence.has_left()) else { return false };
        match last.excluded().get(&peer) {
            None | Some(Exclusion::Surplus) => true,
            Some(Exclusion::Newcomer) => {
                last.round() == Round::FIRST || presence.heartbeat.is_some()
            }
            Some(reason) if reason.is_silence() && !last.is_void() => false,
            Some(_) => presence.heartbeat >= Some(self.round),
        }
    }

    /// Whether a seated peer that was silent in this round keeps its seat.
    pub(crate) fn keeps_slot(&self, peer: PeerId) -> bool {
        let was_silent = |manifest: &&Manifest| {
            manifest.excluded().get(&peer).is_some_and(|reason| reason.is_silence())
        };
        let before = self.history.iter().rev().take_while(was_silent).count();
        !self.attendance.of(peer).has_left() && before as u64 + 1 < self.patience.into()
    }

    /// Who has no seat and wants one, ascending.
    ///
    /// A hello alone counts once: if it is all that was ever heard of the peer. Later a heartbeat has to ask.
    pub(crate) fn applicants(&self, active: &BTreeSet<PeerId>) -> Vec<PeerId> {
        let asks = |(peer, presence): &(PeerId, Liveness)| {
            let is_there = match presence.heartbeat {
                Some(heartbeat) => heartbeat.next() >= Some(self.round),
                None => !self.history.iter().any(|manifest| is_named(manifest, *peer)),
            };
            presence.requested_join && is_there && !presence.has_left() && !active.contains(peer)
        };
        self.attendance.iter().filter(asks).map(|(peer, _)| peer).collect()
    }

    /// Whether somebody is there who has a seat.
    pub(crate) fn is_played(&self, active: &BTreeSet<PeerId>) -> bool {
        active.iter().any(|peer| self.attendance.of(*peer).heartbeat >= Some(self.round))
    }
}

fn is_named(manifest: &Manifest, peer: PeerId) -> bool {
    manifest.included().contains_key(&peer) || manifest.excluded().contains_key(&peer)
}
