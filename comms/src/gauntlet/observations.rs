//! All observations of a proposer in a round, from which the outcome follows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::agreement::draw::{RoundSecret, Seed};
use crate::gauntlet::checks::SimilarPair;
use crate::gauntlet::scoring::Measurement;
use crate::membership::Slot;
use crate::objects::{DeltaRef, Exclusion, Lineage, OuterSettings};
use crate::primitives::{Digest, PeerId, Round};

/// The participation of an active peer in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Participation {
    /// The peer committed in time and revealed this delta.
    Delivered(DeltaRef),
    /// The peer is missing, late, or withheld its delta (see [`Exclusion::is_silence`]).
    Silent(Exclusion),
}

/// An active peer that keeps its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivePeer {
    /// Its slot, which determines the assigned windows.
    #[serde(rename = "seat")]
    pub slot: Slot,
    /// Its participation.
    pub presence: Participation,
}

/// The inputs of the judgement of one round.
///
/// Every field can be recomputed from signed objects in the bucket, or measured again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observations {
    /// The round.
    pub round: Round,
    /// The lineage of the weights at its start.
    pub base: Lineage,
    /// The outer settings with which its deltas are applied.
    pub outer: OuterSettings,
    /// The commitment lists in use: validator and digest of the payload.
    #[serde(rename = "rolls")]
    pub commitment_lists: BTreeMap<PeerId, Digest>,
    /// The secret that the proposer pledged in its commitment list; `None` in round 0, which
    /// measures nothing.
    pub secret: Option<RoundSecret>,
    /// The active peers that keep their slots.
    #[serde(rename = "seated")]
    pub active: BTreeMap<PeerId, ActivePeer>,
    /// Peers that get a slot in the next round.
    #[serde(rename = "newcomers")]
    pub joining: BTreeSet<PeerId>,
    /// Peers that committed without a slot and are not joining.
    #[serde(rename = "strangers")]
    pub unknown: BTreeSet<PeerId>,
    /// Refused deltas of the shortlist, with reasons.
    pub refused: BTreeMap<PeerId, Exclusion>,
    /// Peers with a delta of the previous round that was compared.
    pub earlier: BTreeSet<PeerId>,
    /// Similar pairs of deltas, in ascending order.
    pub overlaps: Vec<SimilarPair>,
    /// Losses of the evaluated deltas.
    pub measurements: BTreeMap<PeerId, Measurement>,
}

impl Observations {
    /// The seed of the round, or `None` in round 0.
    pub fn seed(&self) -> Option<Seed> {
        // Recomputed, not stored: a proposer could otherwise name a seed that suits it.
        self.secret.map(|secret| secret.seed(self.round, self.base, &self.commitment_lists))
    }

    /// The peers that delivered, with their deltas.
    pub fn delivered(&self) -> BTreeMap<PeerId, DeltaRef> {
        self.active
            .iter()
            .filter_map(|(peer, active)| match active.presence {
                Participation::Delivered(delta_ref) => Some((*peer, delta_ref)),
                Participation::Silent(_) => None,
            })
            .collect()
    }

    /// Stores measurements. A delta with a loss that is not a finite number is refused instead.
    pub fn measured(&mut self, measurements: BTreeMap<PeerId, Measurement>) {
        // JSON has no NaN, so an unusable measurement could not be part of a verdict.
        let (usable, not): (BTreeMap<_, _>, BTreeMap<_, _>) =
            measurements.into_iter().partition(|(_, measurement)| measurement.is_usable());
        self.measurements = usable;
        self.refused.extend(not.into_keys().map(|peer| (peer, Exclusion::NotFinite)));
    }
}
