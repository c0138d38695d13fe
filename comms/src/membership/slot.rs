//! Slots: an order of all active peers that every reader can compute.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::objects::{Exclusion, Manifest};
use crate::primitives::PeerId;

/// The index of an active peer and the number of slots. It determines the peer's assigned windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The index, from 0.
    pub index: u32,
    /// The number of slots.
    #[serde(rename = "of")]
    pub num_slots: u32,
}

impl Slot {
    /// Returns the slot of `peer` in the round after that of manifest `last`, or `None` if it is
    /// not active.
    ///
    /// All peers in the manifest are active, in ascending order, except those that it excludes as
    /// unknown.
    pub fn of(peer: PeerId, last: &Manifest) -> Option<Self> {
        // Counted instead of collected: light clients ask for one slot among up to 65,536.
        let excluded = last.excluded();
        let has_slot = last.included().contains_key(&peer)
            || excluded.get(&peer).is_some_and(|reason| keeps_slot(*reason));
        let before = last.included().range(..peer).count()
            + excluded.range(..peer).filter(|(_, reason)| keeps_slot(**reason)).count();
        let all =
            last.included().len() + excluded.values().filter(|reason| keeps_slot(**reason)).count();
        // A manifest names at most 65,536 peers, so no number is cut.
        has_slot.then_some(Self { index: before as u32, num_slots: all as u32 })
    }

    /// Returns all slots of the round after that of manifest `last`.
    pub(crate) fn all(last: &Manifest) -> BTreeMap<PeerId, Self> {
        let holders = Self::holders(last);
        // A manifest names at most 65,536 peers, so no number is cut.
        let num_slots = holders.len() as u32;
        let slots = holders.into_iter().zip(0..);
        slots.map(|(peer, index)| (peer, Self { index, num_slots })).collect()
    }

    /// Returns the active peers of the round after that of manifest `last`.
    pub(crate) fn holders(last: &Manifest) -> BTreeSet<PeerId> {
        let excluded = last.excluded().iter().filter(|(_, reason)| keeps_slot(**reason));
        last.included().keys().chain(excluded.map(|(peer, _)| peer)).copied().collect()
    }
}

/// Returns true for all reasons except that of a peer without a slot. A manifest does not name
/// peers that lose theirs.
fn keeps_slot(reason: Exclusion) -> bool {
    reason != Exclusion::UnknownPeer
}
