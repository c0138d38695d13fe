//! The state of the open round, as one validator knows it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::agreement::commitments::{CommitmentLists, ListedCommitment};
use crate::agreement::draw::Seed;
use crate::membership::Slot;
use crate::objects::{DeltaRef, Exclusion, Lineage, Manifest};
use crate::primitives::{PeerId, Round, Timestamp};

/// The stage of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoundStage {
    /// Peers train and commit.
    Committing,
    /// Commitments are closed; peers reveal their deltas.
    Revealing { until: Timestamp },
    /// Validators propose verdicts and vote.
    Judging { since: Timestamp },
}

/// The open round, from its start to its manifest.
#[derive(Debug)]
pub(super) struct RoundState {
    pub(super) round: Round,
    pub(super) base: Lineage,
    pub(super) stage: RoundStage,
    /// The slots of the active peers.
    pub(super) slots: BTreeMap<PeerId, Slot>,
    /// Number of polls of the commitments so far.
    pub(super) poll: u32,
    /// Commitments of active peers.
    pub(super) listed: BTreeMap<PeerId, ListedCommitment>,
    /// Peers that had committed when the verdict was made, in time or late.
    pub(super) committed: BTreeSet<PeerId>,
    /// Peers that committed without a slot.
    pub(super) unknown: BTreeSet<PeerId>,
    /// The commit deadline. It starts with the first heartbeat or commitment.
    pub(super) deadline: Option<Timestamp>,
    pub(super) commitment_lists: CommitmentLists,
    /// Peers that revealed their delta before the deadline.
    pub(super) revealed: BTreeSet<PeerId>,
    /// The fetched deltas, or the reasons for which they are excluded.
    pub(super) fetched: BTreeMap<PeerId, Result<(DeltaRef, Bytes), Exclusion>>,
    /// Proposers of the verdicts on which this validator has voted.
    pub(super) voted: BTreeSet<PeerId>,
    /// The manifests that this validator signed, by proposer.
    pub(super) agreed: BTreeMap<PeerId, Manifest>,
    /// True if this validator proposed before a restart.
    pub(super) has_earlier_proposal: bool,
    /// True once this validator has written a certified manifest.
    pub(super) is_certified: bool,
    /// Number of validators that rejected each proposer's verdict.
    pub(super) rejections: BTreeMap<PeerId, usize>,
}

impl RoundState {
    /// The initial state of the round after the one that `last` decided.
    pub(super) fn new(round: Round, base: Lineage, last: Option<&Manifest>) -> Self {
        Self {
            round,
            base,
            stage: RoundStage::Committing,
            // Slots follow from the last manifest alone, so every reader assigns the same windows.
            slots: last.map(Slot::all).unwrap_or_default(),
            poll: 0,
            listed: BTreeMap::new(),
            committed: BTreeSet::new(),
            unknown: BTreeSet::new(),
            deadline: None,
            commitment_lists: CommitmentLists::default(),
            revealed: BTreeSet::new(),
            fetched: BTreeMap::new(),
            voted: BTreeSet::new(),
            agreed: BTreeMap::new(),
            has_earlier_proposal: false,
            is_certified: false,
            rejections: BTreeMap::new(),
        }
    }

    /// The active peers.
    pub(super) fn active(&self) -> BTreeSet<PeerId> {
        self.slots.keys().copied().collect()
    }

    /// The seed of this round's random draws.
    pub(super) fn seed(
        &self,
        secret: Option<&crate::agreement::draw::RoundSecret>,
    ) -> Option<Seed> {
        secret.map(|secret| secret.seed(self.round, self.base, &self.commitment_lists.digests()))
    }

    /// The payloads of the deltas that `manifest` includes, or `None` if one was not fetched.
    pub(super) fn payloads_of(&self, manifest: &Manifest) -> Option<BTreeMap<PeerId, Bytes>> {
        manifest
            .included()
            .iter()
            .map(|(peer, wanted): (&PeerId, &DeltaRef)| match self.fetched.get(peer) {
                Some(Ok((delta_ref, payload))) if delta_ref == wanted => {
                    Some((*peer, payload.clone()))
                }
                _ => None,
            })
            .collect()
    }
}
