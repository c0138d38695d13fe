//! What a validator knows of the open round.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::agreement::commitments::{CommitmentLists, ListedCommitment};
use crate::agreement::draw::Seed;
use crate::membership::Slot;
use crate::objects::{DeltaRef, Exclusion, Lineage, Manifest};
use crate::primitives::{PeerId, Round, Timestamp};

/// How far a round has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoundStage {
    /// Peers train and commit.
    Committing,
    /// They reveal what they committed to.
    Revealing { until: Timestamp },
    /// Validators propose and vote.
    Judging { since: Timestamp },
}

/// One round from its beginning to its manifest.
#[derive(Debug)]
pub(super) struct RoundState {
    pub(super) round: Round,
    pub(super) base: Lineage,
    pub(super) stage: RoundStage,
    /// Where everybody sits that may contribute.
    pub(super) slots: BTreeMap<PeerId, Slot>,
    /// Looks at commitments so far.
    pub(super) look: u32,
    /// Commitments of seated peers.
    pub(super) called: BTreeMap<PeerId, ListedCommitment>,
    /// Who has committed by the time of the verdict, in time or not.
    pub(super) committed: BTreeSet<PeerId>,
    /// Who committed without a seat.
    pub(super) unknown: BTreeSet<PeerId>,
    /// When the round is closed for commitments, as soon as somebody was seen.
    pub(super) deadline: Option<Timestamp>,
    pub(super) commitment_lists: CommitmentLists,
    /// Whose deltas were seen in time.
    pub(super) revealed: BTreeSet<PeerId>,
    /// Deltas that were fetched, or why they are refused.
    pub(super) fetched: BTreeMap<PeerId, Result<(DeltaRef, Bytes), Exclusion>>,
    /// Proposers on whose verdicts this validator has voted.
    pub(super) voted: BTreeSet<PeerId>,
    /// The manifests that this validator signed, by proposer.
    pub(super) agreed: BTreeMap<PeerId, Manifest>,
    /// Whether an earlier life has proposed for this round.
    pub(super) own_is_elsewhere: bool,
    /// Whether this validator has written a manifest.
    pub(super) is_certified: bool,
    /// How many validators refused each proposer's verdict.
    pub(super) rejections: BTreeMap<PeerId, usize>,
}

impl RoundState {
    /// Nothing yet of the round after the one that `last` decided.
    pub(super) fn new(round: Round, base: Lineage, last: Option<&Manifest>) -> Self {
        Self {
            round,
            base,
            stage: RoundStage::Committing,
            slots: last.map(Slot::all).unwrap_or_default(),
            look: 0,
            called: BTreeMap::new(),
            committed: BTreeSet::new(),
            unknown: BTreeSet::new(),
            deadline: None,
            commitment_lists: CommitmentLists::default(),
            revealed: BTreeSet::new(),
            fetched: BTreeMap::new(),
            voted: BTreeSet::new(),
            agreed: BTreeMap::new(),
            own_is_elsewhere: false,
            is_certified: false,
            rejections: BTreeMap::new(),
        }
    }

    /// Who may contribute.
    pub(super) fn active(&self) -> BTreeSet<PeerId> {
        self.slots.keys().copied().collect()
    }

    /// What is drawn from `secret` in this round.
    pub(super) fn seed(
        &self,
        secret: Option<&crate::agreement::draw::RoundSecret>,
    ) -> Option<Seed> {
        secret.map(|secret| secret.seed(self.round, self.base, &self.commitment_lists.digests()))
    }

    /// The deltas that `manifest` includes, if all of them have been fetched.
    pub(super) fn payloads_of(&self, manifest: &Manifest) -> Option<BTreeMap<PeerId, Bytes>> {
        let payload = |(peer, wanted): (&PeerId, &DeltaRef)| match self.fetched.get(peer) {
            Some(Ok((delta_ref, payload))) if delta_ref == wanted => Some((*peer, payload.clone())),
            _ => None,
        };
        manifest.included().iter().map(payload).collect()
    }
}
