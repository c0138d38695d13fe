//! Everything that was observed in a round: what a verdict follows from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::agreement::draw::{RoundSecret, Seed};
use crate::gauntlet::checks::SimilarPair;
use crate::gauntlet::scoring::Measurement;
use crate::membership::Slot;
use crate::objects::{DeltaRef, Exclusion, Lineage, OuterSettings};
use crate::primitives::{Digest, PeerId, Round};

/// What a peer with a seat did in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Participation {
    /// Committed in time, and revealed.
    Delivered(DeltaRef),
    /// Did not, and why: a reason that [is a silence](Exclusion::is_silence).
    Silent(Exclusion),
}

/// A peer with a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivePeer {
    /// Its seat, which says what it was assigned.
    #[serde(rename = "seat")]
    pub slot: Slot,
    /// What it did.
    pub presence: Participation,
}

/// What one round is judged by.
///
/// All of it is in signed objects that anybody can fetch, or can be measured again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observations {
    /// The round.
    pub round: Round,
    /// The lineage of the weights that it starts from.
    pub base: Lineage,
    /// How its deltas are applied.
    pub outer: OuterSettings,
    /// The rolls that were used, each by the digest of its payload.
    #[serde(rename = "rolls")]
    pub commitment_lists: BTreeMap<PeerId, Digest>,
    /// What the proposer had pledged itself to; nothing in round 0, which measures nothing.
    pub secret: Option<RoundSecret>,
    /// All that had a seat and keep it.
    #[serde(rename = "seated")]
    pub active: BTreeMap<PeerId, ActivePeer>,
    /// Who has a seat from the next round on.
    #[serde(rename = "newcomers")]
    pub joining: BTreeSet<PeerId>,
    /// Who delivered without a seat.
    #[serde(rename = "strangers")]
    pub unknown: BTreeSet<PeerId>,
    /// Deltas of the shortlist that cannot be used.
    pub refused: BTreeMap<PeerId, Exclusion>,
    /// Whose deltas of the round before were compared, too.
    pub earlier: BTreeSet<PeerId>,
    /// Pairs of deltas that are alike, ascending.
    pub overlaps: Vec<SimilarPair>,
    /// What the evaluated deltas did.
    pub measurements: BTreeMap<PeerId, Measurement>,
}

impl Observations {
    /// The chance of the round, if there is any in it.
    pub fn seed(&self) -> Option<Seed> {
        self.secret.map(|secret| secret.seed(self.round, self.base, &self.commitment_lists))
    }

    /// Who delivered, and what.
    pub fn delivered(&self) -> BTreeMap<PeerId, DeltaRef> {
        let delivery = |(peer, active): (&PeerId, &ActivePeer)| match active.presence {
            Participation::Delivered(delta_ref) => Some((*peer, delta_ref)),
            Participation::Silent(_) => None,
        };
        self.active.iter().filter_map(delivery).collect()
    }

    /// Takes what was measured; a delta whose losses are no numbers is refused as not finite.
    pub fn measured(&mut self, measurements: BTreeMap<PeerId, Measurement>) {
        let (usable, not): (BTreeMap<_, _>, BTreeMap<_, _>) =
            measurements.into_iter().partition(|(_, measurement)| measurement.is_usable());
        self.measurements = usable;
        self.refused.extend(not.into_keys().map(|peer| (peer, Exclusion::NotFinite)));
    }
}
