//! Seats: who takes part in a round, in an order that everybody can compute.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::objects::{Exclusion, Manifest};
use crate::primitives::PeerId;

/// The place of one peer among all that may contribute to a round; it decides what data the peer trains on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The peer's rank, from 0.
    pub index: u32,
    /// The number of seats.
    pub of: u32,
}

impl Slot {
    /// The seat of `peer` in the round after the one that `last` decided.
    ///
    /// Seats belong to all peers that `last` names, in ascending order, but those excluded as unknown.
    pub fn of(peer: PeerId, last: &Manifest) -> Option<Self> {
        let is_active = |(_, reason): &(&PeerId, &Exclusion)| **reason != Exclusion::UnknownPeer;
        let has_slot = last.included().contains_key(&peer)
            || last.excluded().get_key_value(&peer).is_some_and(|entry| is_active(&entry));
        let before = last.included().range(..peer).count()
            + last.excluded().range(..peer).filter(is_active).count();
        let all = last.included().len() + last.excluded().iter().filter(is_active).count();
        // A manifest names at most 65,536 peers.
        has_slot.then_some(Self { index: before as u32, of: all as u32 })
    }

    /// All seats of the round after the one that `last` decided.
    pub(crate) fn all(last: &Manifest) -> BTreeMap<PeerId, Self> {
        let holders = Self::holders(last);
        // A manifest names at most 65,536 peers.
        let of = holders.len() as u32;
        holders.into_iter().zip(0..).map(|(peer, index)| (peer, Self { index, of })).collect()
    }

    /// Everybody who has a seat in the round after the one that `last` decided.
    pub(crate) fn holders(last: &Manifest) -> BTreeSet<PeerId> {
        let excluded =
            last.excluded().iter().filter(|(_, reason)| **reason != Exclusion::UnknownPeer);
        last.included().keys().chain(excluded.map(|(peer, _)| peer)).copied().collect()
    }
}
